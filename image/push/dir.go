package push

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/lockdir"
)

// dirTarget is a directory on this machine, local or mounted. It implements target.
type dirTarget struct{ dir string }

func (s dirTarget) shown(name string) string { return filepath.Join(s.dir, name) }

func (s dirTarget) read(ctx context.Context, name string, w io.Writer, limit int64, count image.ProgressFunc) error {
	p, err := fetch.ParseLocation(s.shown(name))
	if err != nil {
		return s.fault("read", name, err)
	}
	return p.Download("", limit, count).To(ctx, w)
}

// put writes and syncs a temporary file, renames it, and syncs the directory. A crash may
// leave the temporary file, whose name begins with a dot, as no image's name does.
func (s dirTarget) put(ctx context.Context, name string, r *io.SectionReader, isNew bool, count image.ProgressFunc) (err error) {
	f, err := os.CreateTemp(s.dir, "."+name+".*")
	if err != nil {
		return s.fault("publish", name, err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	var from io.Reader = io.NewSectionReader(r, 0, r.Size())
	from = fetch.NewContextReader(ctx, from)
	if count != nil {
		from = &image.ProgressReader{R: from, Total: r.Size(), Count: count}
	}
	_, err = io.Copy(f, from)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = s.give(f.Name(), name, isNew)
	}
	if err == nil {
		err = s.sync()
	}
	return s.fault("publish", name, err)
}

// give renames a file to name. It replaces an existing file, or returns errTaken if isNew.
func (s dirTarget) give(from, name string, isNew bool) error {
	if !isNew {
		return os.Rename(from, s.shown(name))
	}
	err := lockdir.MoveNew(from, s.shown(name))
	if errors.Is(err, fs.ErrExist) {
		return errTaken
	}
	if err == nil {
		err = os.Remove(from)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return err
}

// remove syncs the directory after it has removed a file: after a power failure, a .skein that
// comes back would offer files that were replaced meanwhile.
func (s dirTarget) remove(_ context.Context, name string) error {
	err := os.Remove(s.shown(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.sync()
	}
	return s.fault("publish", name, err)
}

// sync writes the directory to disk, so that a power failure does not undo a rename.
func (s dirTarget) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock locks the directory against other pushes (flock(2)).
func (s dirTarget) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = lockdir.LockPublished(ctx, s.dir)
	return unlock, s.fault("publish", "", err)
}

// fault returns err as *image.Error, without a path in err that would repeat the name.
func (s dirTarget) fault(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &image.Error{Op: op, What: s.shown(name), Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
}
