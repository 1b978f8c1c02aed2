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

// suffixes are the suffixes of an image's files, in the order in which they get their
// names: the digest, which clients fetch first, comes last.
var suffixes = []string{"", ".meta", ".skein.sig", ".skein"}

// path returns the final path of a file of the image.
func (b *build) path(suffix string) string {
	return filepath.Join(b.Dir, image.Ref{Name: b.Name, Tag: b.Tag}.File()+suffix)
}

// checkFree returns fs.ErrExist if a file of the image exists, unless it may be replaced.
// That includes the remains of an image that was published in part, and a signature: it
// would stand beside a digest that it does not sign.
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

// publish renames the files to their final names. Another process may have published an
// image of the same name since prepare: it is replaced only if Replace is set. A replaced
// image loses its digest first, so that no digest is ever beside another image's files. If
// a rename fails, the files that were renamed before it are removed.
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
