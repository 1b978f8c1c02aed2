package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/tree"
)

// editFile calls edit with the content of the file name in the dataset at dir, and replaces
// the file by what edit returns, whole or not at all. It holds the lock of the dataset's
// conf directory meanwhile. A missing file counts as empty if it is optional. pot itself
// takes no lock: its setters edit in place, and a change that both make at once may be
// lost.
func editFile(dir, name string, optional bool, edit func([]byte) ([]byte, error)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockConf(root)
	if err != nil {
		return err
	}
	defer unlock()
	before, err := conf.ReadFile(root, name)
	if err != nil && !(optional && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	after, err := edit(before)
	if err != nil {
		return err
	}
	if len(after) > conf.MaxBytes {
		return fmt.Errorf("%s: would be more than %d bytes", name, conf.MaxBytes)
	}
	if err := tree.Replace(root, name+".new", after); err != nil {
		return err
	}
	return root.Rename(name+".new", name)
}

// lockConf locks the conf directory of a dataset against changes by others (flock(2)). It
// locks the directory itself: a lock file would go into images. The caller must call
// unlock. The kernel releases it if the process dies.
func lockConf(root *os.Root) (unlock func(), err error) {
	d, err := root.Open(conf.Dir)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		d.Close()
		return nil, os.NewSyscallError("flock "+conf.Dir, err)
	}
	return func() { d.Close() }, nil
}
