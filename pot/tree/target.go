package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Target is a mount point in a tree that is not trusted. Its files are open, so that it stays
// the same whatever is renamed in the tree.
type Target struct {
	Path string   // on the host
	Dir  *os.File // the directory that it is in
	Base string   // its name in Dir
	File *os.File // the mount point itself, also after something is mounted on it
}

// Opener opens the file called name in dir, as OpenAt does.
type Opener func(dir *os.File, name string) (*os.File, error)

// OpenTarget opens the mount point at the path inside, within the tree at root: a directory or
// a regular file. It creates what is missing. It follows symbolic links as a process with root
// as its root directory does, so that none leads out of the tree, whatever others change in it
// meanwhile. It opens each name with open. The caller must close the target.
func OpenTarget(root, inside string, isDir bool, open Opener) (*Target, error) {
	w := &walk{left: namesOf(inside)}
	if len(w.left) == 0 {
		return nil, fmt.Errorf("%q: must be below /", inside)
	}
	dir, err := openPlain(root)
	if err != nil {
		return nil, err
	}
	w.files = []*os.File{dir}
	defer w.close()
	err = w.run(func(dir *os.File, name string, last bool) (*os.File, error) {
		return openOrCreate(dir, name, isDir || !last, open)
	})
	if err != nil {
		return nil, err
	}
	if len(w.names) == 0 {
		return nil, fmt.Errorf("%q: leads to /, and must be below it", inside)
	}
	t := &Target{Path: filepath.Join(root, path.Join(w.names...)), Base: w.names[len(w.names)-1]}
	t.File, t.Dir = w.pop(), w.pop()
	return t, nil
}

// Close closes the target's files.
func (t *Target) Close() error { return errors.Join(t.File.Close(), t.Dir.Close()) }

// OpenAt opens the file called name in dir, as a reference only. It returns ErrLink for a
// symbolic link (openat(2), O_PATH, O_NOFOLLOW).
func OpenAt(dir *os.File, name string) (*os.File, error) {
	at := filepath.Join(dir.Name(), name)
	fd, err := unix.Openat(int(dir.Fd()), name, openPath|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EMLINK): // EMLINK: open(2) of FreeBSD
		return nil, &os.PathError{Op: "open", Path: at, Err: ErrLink}
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: at, Err: err}
	case isLink(fd):
		unix.Close(fd)
		return nil, &os.PathError{Op: "open", Path: at, Err: ErrLink}
	}
	return os.NewFile(uintptr(fd), at), nil
}

func isLink(fd int) bool {
	var s unix.Stat_t
	return unix.Fstat(fd, &s) == nil && s.Mode&unix.S_IFMT == unix.S_IFLNK
}

// openPlain opens a directory that only the host's operator controls: it follows links.
func openPlain(at string) (*os.File, error) {
	fd, err := unix.Open(at, openPath|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: at, Err: err}
	}
	return os.NewFile(uintptr(fd), at), nil
}

// openOrCreate opens name in dir as a directory or as a regular file, and creates it if it is
// missing. It returns ErrLink for a symbolic link.
func openOrCreate(dir *os.File, name string, isDir bool, open Opener) (*os.File, error) {
	f, err := open(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createAt(dir, name, isDir); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err = open(dir, name)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (info.IsDir() != isDir || !isDir && !info.Mode().IsRegular()) {
		if isDir {
			err = errors.New("is not a directory in the pot")
		} else {
			err = errors.New("is not a regular file in the pot")
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// createAt creates an empty directory or an empty file called name in dir, which all users in the
// pot can read, whatever this process's umask is.
func createAt(dir *os.File, name string, isDir bool) error {
	flags, mode := unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, uint32(0o644)
	if isDir {
		flags, mode = unix.O_RDONLY|unix.O_DIRECTORY, 0o755
		if err := unix.Mkdirat(int(dir.Fd()), name, mode); err != nil {
			return os.NewSyscallError("mkdir", err)
		}
	}
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return os.NewSyscallError("create", err)
	}
	return os.NewSyscallError("create", errors.Join(unix.Fchmod(fd, mode), unix.Close(fd)))
}
