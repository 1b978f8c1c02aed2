package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// dirShelf is a directory, of this machine or mounted here.
type dirShelf struct{ dir string }

func (s dirShelf) shown(name string) string { return filepath.Join(s.dir, name) }

func (s dirShelf) read(ctx context.Context, name string, w io.Writer, limit int64, count Count) error {
	p, err := ParsePlace(s.shown(name))
	if err != nil {
		return s.fault("read", name, err)
	}
	return p.download("", limit, count).to(ctx, w)
}

// put writes to another name, and to the disk, before the file takes its own.
func (s dirShelf) put(ctx context.Context, name string, r *io.SectionReader, isNew bool, count Count) (err error) {
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
	from = &pushReader{ctx, from}
	if count != nil {
		from = &counted{r: from, total: r.Size(), count: count}
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

// give gives a file its name, in place of what has it unless it is new.
func (s dirShelf) give(from, name string, isNew bool) error {
	if !isNew {
		return os.Rename(from, s.shown(name))
	}
	err := moveNew(from, s.shown(name))
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

// pushReader reads until ctx ends.
type pushReader struct {
	ctx context.Context
	r   io.Reader
}

func (s *pushReader) Read(p []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

func (s dirShelf) remove(_ context.Context, name string) error {
	err := os.Remove(s.shown(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.sync()
	}
	return s.fault("publish", name, err)
}

// sync has what is in the directory on the disk.
func (s dirShelf) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock waits for others that publish in the directory (flock(2)).
func (s dirShelf) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = lockPublished(ctx, s.dir)
	return unlock, s.fault("publish", "", err)
}

// fault is err as *Error, whose name is not said twice.
func (s dirShelf) fault(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Error{Op: op, What: s.shown(name), Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
}
