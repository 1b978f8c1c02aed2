package image

import (
	"context"
	"fmt"
	"io"

	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/skein"
)

// Checks say what an image must be, beyond what its .skein says.
type Checks struct {
	Key   *signify.PublicKey // that must have signed the .skein, in .skein.sig; nil: nobody must have
	Count Count              // of the .xz as it is read
}

// Verify verifies the image at p, and keeps nothing of it. Its errors are of type
// *Error.
func (p Place) Verify(ctx context.Context, c Checks) (Verified, error) {
	f, err := p.Open(ctx, c, "")
	if err != nil {
		return Verified{}, err
	}
	return f.Verified, f.Close()
}

// Open verifies the image at p and returns it. One that is not on this machine
// is kept until it is closed, in an unnamed file in dir. Its errors are of type
// *Error.
func (p Place) Open(ctx context.Context, c Checks, dir string) (*File, error) {
	return p.use(dir, func(f *File) error {
		want, meta, err := p.announced(ctx, c, f)
		if err != nil {
			return err
		}
		h := skein.New()
		if f.Bytes, err = p.read(ctx, f.xz, h, c.Count); err != nil {
			return err
		}
		err = confirm(h, f.Bytes, meta, want)
		if err != nil && !f.HasMeta {
			err = fmt.Errorf("%w; it has no .meta file, as images of pot 0.13 and later have", err)
		}
		if err != nil {
			return p.unverified("", err)
		}
		f.Digest = want
		return nil
	})
}

// OpenUnverified is Open without any check: of the image's files it reads the
// .xz alone, and nothing is known of it but its length.
func (p Place) OpenUnverified(ctx context.Context, count Count, dir string) (*File, error) {
	return p.use(dir, func(f *File) (err error) {
		if p.local() {
			info, err := f.xz.Stat()
			if err == nil {
				f.Bytes = info.Size()
			}
			return err
		}
		f.Bytes, err = p.read(ctx, f.xz, io.Discard, count)
		return err
	})
}

// use is a file that fill has filled.
func (p Place) use(dir string, fill func(*File) error) (*File, error) {
	xz, err := p.open(dir)
	if err != nil {
		return nil, p.fault(err)
	}
	f := &File{xz: xz}
	if err := fill(f); err != nil {
		f.Close()
		return nil, p.fault(err)
	}
	return f, nil
}

// announced is the digest that the image should have and the bytes of its .meta,
// which are part of it. Nothing large has been read by then.
func (p Place) announced(ctx context.Context, c Checks, f *File) (want Digest, meta []byte, err error) {
	text, err := p.small(ctx, ".skein", smallLimit, false)
	if err != nil {
		return want, nil, err
	}
	if c.Key != nil {
		if err := p.signed(ctx, *c.Key, text); err != nil {
			return want, nil, err
		}
		number := c.Key.Number
		f.Key = &number
	}
	if want, err = ParseSkein(text); err != nil {
		return want, nil, p.unverified(".skein", err)
	}
	if meta, err = p.small(ctx, ".meta", smallLimit, true); err != nil {
		return want, nil, err
	}
	if f.Meta, err = ParseMeta(meta); err != nil {
		return want, nil, p.unverified(".meta", err)
	}
	f.HasMeta = len(meta) > 0
	return want, meta, nil
}

// signed is nil if key has signed text, which is the .skein.
func (p Place) signed(ctx context.Context, key signify.PublicKey, text []byte) error {
	raw, err := p.small(ctx, ".skein.sig", signify.MaxFileBytes, false)
	if err != nil {
		return err
	}
	s, err := signify.ParseSignature(raw)
	if err != nil {
		return p.unverified(".skein.sig", err)
	}
	if err := key.Verify(text, s); err != nil {
		return p.unverified(".skein", err)
	}
	return nil
}

// ClaimedKey is the number of the key that the image says it is signed with; nil if
// there is no .skein.sig. Nothing is verified by it. Its errors are of type *Error.
func (p Place) ClaimedKey(ctx context.Context) (*signify.KeyNumber, error) {
	raw, err := p.small(ctx, ".skein.sig", signify.MaxFileBytes, true)
	if err != nil || raw == nil {
		return nil, err
	}
	s, err := signify.ParseSignature(raw)
	if err != nil {
		return nil, p.unverified(".skein.sig", err)
	}
	return &s.Number, nil
}

// unverified is a file that is not what it should be.
func (p Place) unverified(ending string, err error) *Error {
	return &Error{Op: "verify", What: p.shown + ending, Err: err}
}

// fault is err as *Error.
func (p Place) fault(err error) error {
	if _, ok := err.(*Error); ok {
		return err
	}
	return &Error{Op: "keep", What: p.shown, Err: err}
}
