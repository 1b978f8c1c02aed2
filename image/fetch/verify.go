package fetch

import (
	"context"
	"fmt"
	"io"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/skein"
)

// Checks are the checks of an image beyond the digest in its .skein.
type Checks struct {
	Key   *signify.PublicKey // must have signed the .skein, in .skein.sig; nil: no signature is required
	Count image.ProgressFunc // progress of reading the .xz
}

// Verify reads and verifies the image at p, and keeps nothing of it. Errors are
// *image.Error.
func (p Location) Verify(ctx context.Context, c Checks) (image.Verified, error) {
	f, err := p.Open(ctx, c, "")
	if err != nil {
		return image.Verified{}, err
	}
	return f.Verified, f.Close()
}

// Open reads and verifies the image at p and returns it; the caller must close it. A remote
// image is kept in an unnamed file in dir until it is closed; if dir is "", the result has
// no .xz. Errors are *image.Error.
func (p Location) Open(ctx context.Context, c Checks, dir string) (*image.File, error) {
	return p.with(dir, func(f *image.File) error {
		want, err := p.claimedDigest(ctx, c, f)
		if err != nil {
			return err
		}
		h := skein.New()
		if f.Bytes, err = p.read(ctx, f.XZ, h, c.Count); err != nil {
			return err
		}
		err = image.VerifyDigest(h, f.Bytes, f.MetaText, want)
		if err != nil && !f.HasMeta {
			err = fmt.Errorf("%w; it has no .meta file, as images of pot 0.13 and later have", err)
		}
		if err != nil {
			return p.sidecars().fault("", err)
		}
		f.Digest = want
		return nil
	})
}

// OpenUnverified is Open without any check: it reads only the .xz, and sets only XZ and
// Bytes in the result.
func (p Location) OpenUnverified(ctx context.Context, count image.ProgressFunc, dir string) (*image.File, error) {
	return p.with(dir, func(f *image.File) (err error) {
		if p.Local() {
			info, err := f.XZ.Stat()
			if err == nil {
				f.Bytes = info.Size()
			}
			return err
		}
		f.Bytes, err = p.read(ctx, f.XZ, io.Discard, count)
		return err
	})
}

// with opens the .xz and calls fill to set the rest of the result. It closes the file if
// fill fails.
func (p Location) with(dir string, fill func(*image.File) error) (*image.File, error) {
	xz, err := p.open(dir)
	if err != nil {
		return nil, p.fault(err)
	}
	f := &image.File{XZ: xz}
	if err := fill(f); err != nil {
		f.Close()
		return nil, p.fault(err)
	}
	return f, nil
}

// claimedDigest returns the digest in the .skein, whose signature it verifies if c has a
// key, and sets in f what the files beside the .xz contain. It reads nothing large.
func (p Location) claimedDigest(ctx context.Context, c Checks, f *image.File) (want image.Digest, err error) {
	files := p.sidecars()
	if f.SkeinText, want, err = files.digest(ctx, c.Key); err != nil {
		return want, err
	}
	if c.Key != nil {
		number := c.Key.Number
		f.Key = &number
	}
	f.MetaText, f.Meta, err = files.meta(ctx)
	f.HasMeta = len(f.MetaText) > 0
	return want, err
}

// ClaimedKey returns the number of the key that the image says it is signed with, or nil
// if there is no .skein.sig. It verifies nothing. Errors are *image.Error.
func (p Location) ClaimedKey(ctx context.Context) (*signify.KeyNumber, error) {
	signature, err := p.sidecars().signature(ctx)
	if err != nil || signature == nil {
		return nil, err
	}
	return &signature.Number, nil
}

// fault returns err as *image.Error.
func (p Location) fault(err error) error {
	if _, ok := err.(*image.Error); ok {
		return err
	}
	return &image.Error{Op: "keep", What: p.text, Err: err}
}
