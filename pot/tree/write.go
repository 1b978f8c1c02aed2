package tree

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// openDir is the mode of directories that are made in a pot's tree for what it has beside
// its image: all in the pot may look into them.
const openDir fs.FileMode = 0o755

// Mkdir makes the directory name, with mode openDir whatever this process's umask is. It
// leaves one that is there as it is.
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

// MkdirAll is mkdir of name and of the directories above it. name has no ".." in it.
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

// Replace puts data at name, in the place of what was there.
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
