// Package flock keeps processes from doing the same thing at the same time.
package flock

import (
	"errors"
	"os"
	"syscall"
)

// Lock keeps all others, in any process, from what the file at path stands for,
// until unlock is called or this process ends (flock(2)). The file is made if it is
// not there, and stays.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	return func() { f.Close() }, nil
}
