package tree

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLink is returned for a path that leads through a symbolic link, but was resolved before:
// somebody has replaced a part of it.
var ErrLink = errors.New("leads through a link that was not there before")

// OpenSource opens the file at an absolute path of the host, as a reference only (O_PATH): it can
// neither be read nor written. If the path is resolved, OpenSource follows no symbolic link
// and returns ErrLink for one. The driver checks a job's paths when it reads the job: without
// this, anybody who can write to a directory on the path could put a link there afterwards.
func OpenSource(at string, resolved bool) (*os.File, error) {
	if !resolved {
		fd, err := unix.Open(at, openPath|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: at, Err: err}
		}
		return os.NewFile(uintptr(fd), at), nil
	}
	dir, err := openPlain("/")
	if err != nil {
		return nil, err
	}
	names := strings.FieldsFunc(path.Clean(at), func(r rune) bool { return r == '/' })
	for _, name := range names {
		f, err := OpenAt(dir, name)
		dir.Close()
		switch {
		case errors.Is(err, ErrLink):
			return nil, fmt.Errorf("%s: %w: %s", at, ErrLink, name)
		case err != nil:
			return nil, &os.PathError{Op: "open", Path: at, Err: errors.Unwrap(err)}
		}
		dir = f
	}
	return dir, nil
}

// openRoot is os.OpenRoot for the directory that OpenSource opens.
func openRoot(at string, resolved bool) (*os.Root, error) {
	f, err := OpenSource(at, resolved)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, err
	}
	is, err := root.Stat(".")
	if err == nil {
		var was os.FileInfo
		if was, err = f.Stat(); err == nil && !os.SameFile(was, is) {
			err = fmt.Errorf("%s: %w", at, ErrLink)
		}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}
