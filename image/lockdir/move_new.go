package lockdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// MoveNew renames a file, and returns fs.ErrExist if to exists. rename(2) would replace it,
// so MoveNew makes a second link, and from keeps its name too. On a file system without
// links, only the directory's lock keeps other processes of this program from taking the
// name in between.
func MoveNew(from, to string) error {
	err := os.Link(from, to)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return Exists(to)
	case !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EXDEV) && !errors.Is(err, errors.ErrUnsupported):
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return Exists(to)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// Exists returns fs.ErrExist with the path that exists.
func Exists(path string) error { return fmt.Errorf("%s: %w", path, fs.ErrExist) }
