package fetch

import (
	"context"
	"fmt"
	"io"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/skein"
)

// Checks say what an image must be, beyond what its .skein says.
type Checks struct {
	Key   *signify.PublicKey // that must have signed the .skein, in .skein.sig; nil: nobody must have
	Count image.ProgressFunc // of the .xz as it is read
}

// Verify verifies the image at p, and keeps nothing of it. Its errors are of type
// *Error.
func (p Location) Verify(ctx context.Context, c Checks) (image.Verified, error) {
	f, err := p.Open(ctx, c, "")
	if err != nil {
		return image.Verified{}, err
	}
	return f.Verified, f.Close()
}

// Open verifies the image at p and returns it. One that is not on this machine
// is kept until it is closed, in an unnamed file in dir. Its errors are of type
// *Error.
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

// OpenUnverified is Open without any check: of the image's files it reads the
// .xz alone, and nothing is known of it but its length.
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

// use is a file that fill has filled.
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

// claimedDigest returns the digest that the image should have, and reads what is known of
// it from the files beside it. Nothing large has been read by then.
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

// ClaimedKey is the number of the key that the image says it is signed with; nil if
// there is no .skein.sig. Nothing is verified by it. Its errors are of type *Error.
func (p Location) ClaimedKey(ctx context.Context) (*signify.KeyNumber, error) {
	signature, err := p.sidecars().signature(ctx)
	if err != nil || signature == nil {
		return nil, err
	}
	return &signature.Number, nil
}

// fault is err as *Error.
func (p Location) fault(err error) error {
	if _, ok := err.(*image.Error); ok {
		return err
	}
	return &image.Error{Op: "keep", What: p.text, Err: err}
}
