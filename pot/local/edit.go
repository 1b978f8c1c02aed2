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

// editFile has edit change the file at name in the dataset at dir, for which nobody
// else changes any file of its conf meanwhile. It is replaced whole, or not at all;
// one that is not there is empty, if it may be.
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

// lockConf keeps all others from changing what is in conf, by a lock on the
// directory itself (flock(2)): a file for it would go into images.
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
