package fetch

import (
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

// SmallLimit is what a .skein and a .meta may have, in bytes.
const SmallLimit = 1 << 10

// fetchDigest brings the .skein file: nothing else is fetched if it says that
// the image is not the one asked for.
func (c *Cache) fetchDigest(ctx context.Context, t *lockdir.Dir, ref image.Ref, terms image.PullOptions) (image.Digest, error) {
	raw, err := c.fetchSmall(ctx, t, ref, terms, ".skein", false)
	if err != nil {
		return image.Digest{}, err
	}
	if terms.Key != nil {
		if err := c.verifySignature(ctx, t, ref, terms, raw); err != nil {
			return image.Digest{}, err
		}
	}
	pin := terms.Digest
	d, err := image.ParseSkein(raw)
	if err == nil && pin != (image.Digest{}) && pin != d {
		err = &image.DigestError{Want: pin, Got: d}
	}
	if err != nil {
		return image.Digest{}, &image.Error{Op: "verify", What: ref.File() + ".skein of " + ref.String(), Err: err}
	}
	return d, nil
}

// verifySignature brings the .skein.sig file. What the key has not signed is not even
// looked at.
func (c *Cache) verifySignature(ctx context.Context, t *lockdir.Dir, ref image.Ref, terms image.PullOptions, skein []byte) error {
	raw, err := c.fetchSmall(ctx, t, ref, terms, ".skein.sig", true)
	if err != nil {
		return err
	}
	fault := func(err error) error {
		return &image.Error{Op: "verify", What: ref.File() + ".skein.sig of " + ref.String(), Err: err}
	}
	if len(raw) == 0 {
		return fault(fmt.Errorf("there is none, and key %s must have signed the image", terms.Key.Number))
	}
	signature, err := signify.ParseSignature(raw)
	if err == nil {
		err = terms.Key.Verify(skein, signature)
	}
	if err != nil {
		return fault(err)
	}
	return nil
}

// fetchMeta brings the .meta file, and its bytes: they are part of the digest.
// Images older than pot 0.13 have none, which stands for an empty one.
func (c *Cache) fetchMeta(ctx context.Context, t *lockdir.Dir, ref image.Ref, terms image.PullOptions) ([]byte, image.Meta, error) {
	raw, err := c.fetchSmall(ctx, t, ref, terms, ".meta", true)
	if err != nil {
		return nil, image.Meta{}, err
	}
	m, err := image.ParseMeta(raw)
	if err != nil {
		return nil, image.Meta{}, &image.Error{Op: "verify", What: ref.File() + ".meta of " + ref.String(), Err: err}
	}
	return raw, m, nil
}

// fetchSmall brings a file of at most smallLimit bytes, in the place of one that is
// there.
func (c *Cache) fetchSmall(ctx context.Context, t *lockdir.Dir, ref image.Ref, terms image.PullOptions, ending string, optional bool) ([]byte, error) {
	name := filepath.Join(t.Path, ref.File()+ending)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, c.Fault(err)
	}
	err = c.download(ctx, ref, terms, ending, limitOf(ending), nil, f)
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

// limitOf is what a file beside an image may have, in bytes.
func limitOf(ending string) int64 {
	if ending == ".skein.sig" {
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

// readSmall reads a file of the cache of at most smallLimit bytes.
func readSmall(name string) ([]byte, error) {
	return image.ReadBounded(name, SmallLimit)
}
