package build

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
)

// endings are how the names of an image's files end, in the order in which they get their
// names: the digest, which is asked for first, comes last.
var suffixes = []string{"", ".meta", ".skein.sig", ".skein"}

// path is where a file of the image goes.
func (b *build) path(suffix string) string {
	return filepath.Join(b.Dir, image.Ref{Name: b.Name, Tag: b.Tag}.File()+suffix)
}

// checkFree returns fs.ErrExist if a file has the name of one of the image's, unless
// it may be replaced. That includes what is left of an image that was not published
// to its end, and a signature: it would stand beside a digest that it does not sign.
func (b *build) checkFree() error {
	if b.Replace {
		return nil
	}
	for _, suffix := range suffixes {
		if _, err := os.Lstat(b.path(suffix)); err == nil {
			return lockdir.Exists(b.path(suffix))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// publish gives the files their names. Others may have published an image of the same
// name since prepare: it is replaced only if that was asked for. What is replaced loses
// its digest first, so that none is ever beside what it is not of.
func (b *build) publish(ctx context.Context) error {
	unlock, err := lockdir.LockPublished(ctx, b.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	give := lockdir.MoveNew
	if b.Replace {
		give = os.Rename
		for _, suffix := range []string{".skein", ".skein.sig"} {
			if err := os.Remove(b.path(suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	} else if err := b.checkFree(); err != nil {
		return err
	}
	var made []string
	for _, suffix := range suffixes {
		if suffix == ".skein.sig" && b.Signer == nil {
			continue
		}
		if err := give(b.temporary(suffix), b.path(suffix)); err != nil {
			for _, path := range made {
				err = errors.Join(err, os.Remove(path))
			}
			return err
		}
		made = append(made, b.path(suffix))
	}
	a := &b.artifacts
	a.XZ, a.Meta, a.Skein = b.path(""), b.path(".meta"), b.path(".skein")
	if b.Signer != nil {
		a.Signature = b.path(".skein.sig")
	}
	return nil
}
