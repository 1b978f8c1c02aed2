package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/signify"
)

// smallLimit bounds a .skein and a .meta, in bytes.
const smallLimit = 1 << 10

// LimitOf returns the maximum size of a file beside an image, in bytes.
func LimitOf(suffix string) int64 {
	if suffix == ".skein.sig" {
		return signify.MaxFileBytes
	}
	return smallLimit
}

// sidecars are the files beside one image's .xz, at its source or at a Location.
type sidecars struct {
	// read returns the contents of the file with that suffix, of at most LimitOf bytes. It
	// returns nil for a missing file that is optional.
	read func(ctx context.Context, suffix string, optional bool) ([]byte, error)

	name func(suffix string) string // for errors
}

// fault returns the error for a file with that suffix whose contents are wrong.
func (s sidecars) fault(suffix string, err error) *image.Error {
	return &image.Error{Op: "verify", What: s.name(suffix), Err: err}
}

// digest returns the .skein and the digest in it. If key is not nil, it verifies the
// signature before it parses the file, so that no unsigned byte is used.
func (s sidecars) digest(ctx context.Context, key *signify.PublicKey) (skein []byte, d image.Digest, err error) {
	if skein, err = s.read(ctx, ".skein", false); err != nil {
		return nil, d, err
	}
	if key != nil {
		signature, err := s.signature(ctx)
		if err != nil {
			return nil, d, err
		}
		if signature == nil {
			return nil, d, s.fault(".skein.sig", fmt.Errorf("there is none, and key %s must have signed the image", key.Number))
		}
		if err := key.Verify(skein, *signature); err != nil {
			return nil, d, s.fault(".skein.sig", err)
		}
	}
	if d, err = image.ParseSkein(skein); err != nil {
		return nil, d, s.fault(".skein", err)
	}
	return skein, d, nil
}

// signature returns the parsed .skein.sig, or nil if there is none. It verifies nothing.
func (s sidecars) signature(ctx context.Context) (*signify.Signature, error) {
	raw, err := s.read(ctx, ".skein.sig", true)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	signature, err := signify.ParseSignature(raw)
	if err != nil {
		return nil, s.fault(".skein.sig", err)
	}
	return &signature, nil
}

// meta returns the .meta and its exact bytes, which the digest covers after the .xz. Images
// older than pot 0.13 have no .meta; an empty one gives them the same digest.
func (s sidecars) meta(ctx context.Context) (raw []byte, m image.Meta, err error) {
	if raw, err = s.read(ctx, ".meta", true); err != nil {
		return nil, m, err
	}
	if m, err = image.ParseMeta(raw); err != nil {
		return nil, m, s.fault(".meta", err)
	}
	return raw, m, nil
}

// sidecars returns the files that the source serves beside ref's .xz. Each that is read is
// also written to t; a missing one is written as an empty file.
func (c *Cache) sidecars(t *lockdir.Dir, ref image.Ref, opts image.PullOptions) sidecars {
	return sidecars{
		name: func(suffix string) string { return ref.File() + suffix + " of " + ref.String() },
		read: func(ctx context.Context, suffix string, optional bool) ([]byte, error) {
			var b bytes.Buffer
			d, err := c.newDownload(ref, opts, suffix, LimitOf(suffix))
			if err != nil {
				return nil, err
			}
			if err := d.To(ctx, &b); err != nil && !(optional && errors.Is(err, fs.ErrNotExist)) {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(t.Path, ref.File()+suffix), b.Bytes(), 0o600); err != nil {
				return nil, c.Fault(err)
			}
			return b.Bytes(), nil
		},
	}
}

// fetchDigest fetches and verifies the .skein. It returns an error if opts.Digest is
// another digest, before anything large is fetched.
func (c *Cache) fetchDigest(ctx context.Context, t *lockdir.Dir, ref image.Ref, opts image.PullOptions) (image.Digest, error) {
	files := c.sidecars(t, ref, opts)
	_, d, err := files.digest(ctx, opts.Key)
	if wantDigest := opts.Digest; err == nil && wantDigest != (image.Digest{}) && wantDigest != d {
		return image.Digest{}, files.fault(".skein", &image.DigestError{Want: wantDigest, Got: d})
	}
	return d, err
}

// readDigest reads a .skein file of the cache.
func readDigest(name string) (image.Digest, error) {
	raw, err := readSmall(name)
	if err != nil {
		return image.Digest{}, err
	}
	return image.ParseSkein(raw)
}

// readSmall reads a file of the cache of at most smallLimit bytes.
func readSmall(name string) ([]byte, error) {
	return image.ReadBounded(name, smallLimit)
}
