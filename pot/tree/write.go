package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// openDir is the mode of directories that are added to an image's tree: all users in the pot may
// enter them.
const openDir fs.FileMode = 0o755

// Mkdir creates the directory name, with mode openDir whatever this process's umask is. If name
// exists, Mkdir leaves it as it is and returns nil.
func Mkdir(root *os.Root, name string) error {
	err := root.Mkdir(name, openDir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return root.Chmod(name, openDir)
}

// MkdirAll is Mkdir for name and for the directories above it. name must not contain "..".
func MkdirAll(root *os.Root, name string) error {
	if name == "." || name == "" {
		return nil
	}
	if info, err := root.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := MkdirAll(root, path.Dir(name)); err != nil {
		return err
	}
	if err := Mkdir(root, name); err != nil {
		return err
	}
	info, err := root.Stat(name)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	}
	return err
}

// Replace removes the file name and writes data to a new one, with mode 0644. It is neither
// atomic nor synced: write beside the file and rename where that matters.
func Replace(root *os.Root, name string, data []byte) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// TrimOp returns the path and the cause of a *fs.PathError as an error for a user, without the
// system call: "/a: permission denied" for "lstat /a: permission denied". It returns any other
// error as it is.
func TrimOp(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}
