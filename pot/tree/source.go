package tree

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLink is a path in which a link has taken the place of what was there when it was
// looked at.
var ErrLink = errors.New("leads through a link that was not there before")

// OpenSource opens what is at an absolute path of the host, for no more than to know what
// it is. If it is resolved no link is followed: what a job may have is decided when the
// job is read, and whoever can write there could put a link in its place before it is
// used.
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

// openRoot is os.OpenRoot of what OpenSource opens.
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
