package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/signify"
)

// SmallLimit bounds a .skein and a .meta, in bytes.
const SmallLimit = 1 << 10

// fetchDigest downloads the .skein file first: nothing else is fetched if it shows that
// the image does not have the wanted digest.
func (c *Cache) fetchDigest(ctx context.Context, t *lockdir.Dir, ref image.Ref, opts image.PullOptions) (image.Digest, error) {
	raw, err := c.fetchSmall(ctx, t, ref, opts, ".skein", false)
	if err != nil {
		return image.Digest{}, err
	}
	if opts.Key != nil {
		if err := c.verifySignature(ctx, t, ref, opts, raw); err != nil {
			return image.Digest{}, err
		}
	}
	wantDigest := opts.Digest
	d, err := image.ParseSkein(raw)
	if err == nil && wantDigest != (image.Digest{}) && wantDigest != d {
		err = &image.DigestError{Want: wantDigest, Got: d}
	}
	if err != nil {
		return image.Digest{}, &image.Error{Op: "verify", What: ref.File() + ".skein of " + ref.String(), Err: err}
	}
	return d, nil
}

// verifySignature downloads the .skein.sig file and verifies skein, before anyone parses
// it.
func (c *Cache) verifySignature(ctx context.Context, t *lockdir.Dir, ref image.Ref, opts image.PullOptions, skein []byte) error {
	raw, err := c.fetchSmall(ctx, t, ref, opts, ".skein.sig", true)
	if err != nil {
		return err
	}
	fault := func(err error) error {
		return &image.Error{Op: "verify", What: ref.File() + ".skein.sig of " + ref.String(), Err: err}
	}
	if len(raw) == 0 {
		return fault(fmt.Errorf("there is none, and key %s must have signed the image", opts.Key.Number))
	}
	signature, err := signify.ParseSignature(raw)
	if err == nil {
		err = opts.Key.Verify(skein, signature)
	}
	if err != nil {
		return fault(err)
	}
	return nil
}

// fetchMeta downloads the .meta file, and returns its bytes too: the digest covers them.
// Images older than pot 0.13 have none, which counts as an empty one.
func (c *Cache) fetchMeta(ctx context.Context, t *lockdir.Dir, ref image.Ref, opts image.PullOptions) ([]byte, image.Meta, error) {
	raw, err := c.fetchSmall(ctx, t, ref, opts, ".meta", true)
	if err != nil {
		return nil, image.Meta{}, err
	}
	m, err := image.ParseMeta(raw)
	if err != nil {
		return nil, image.Meta{}, &image.Error{Op: "verify", What: ref.File() + ".meta of " + ref.String(), Err: err}
	}
	return raw, m, nil
}

// fetchSmall downloads a file of at most limitOf(suffix) bytes to t. It returns no bytes
// if optional and the source has no such file.
func (c *Cache) fetchSmall(ctx context.Context, t *lockdir.Dir, ref image.Ref, opts image.PullOptions, suffix string, optional bool) ([]byte, error) {
	name := filepath.Join(t.Path, ref.File()+suffix)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, c.Fault(err)
	}
	err = c.download(ctx, ref, opts, suffix, limitOf(suffix), nil, f)
	if optional && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if closed := f.Close(); err == nil && closed != nil {
		err = c.Fault(closed)
	}
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, c.Fault(err)
	}
	return raw, nil
}

// limitOf returns the bound of a file beside an image, in bytes.
func limitOf(suffix string) int64 {
	if suffix == ".skein.sig" {
		return signify.MaxFileBytes
	}
	return SmallLimit
}

// readDigest reads a .skein file of the cache.
func readDigest(name string) (image.Digest, error) {
	raw, err := readSmall(name)
	if err != nil {
		return image.Digest{}, err
	}
	return image.ParseSkein(raw)
}

// readSmall reads a file of the cache of at most SmallLimit bytes.
func readSmall(name string) ([]byte, error) {
	f, err := image.OpenRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, SmallLimit+1))
	if len(raw) > SmallLimit {
		err = fmt.Errorf("%s: more than %d bytes", name, SmallLimit)
	}
	return raw, err
}
