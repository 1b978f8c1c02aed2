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
	if err := lock(f, syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// Read tells those who ask Reading that f is being read, until it is closed.
func Read(f *os.File) error { return lock(f, syscall.LOCK_SH) }

// Reading is whether anybody reads what f is, by another descriptor than f.
func Reading(f *os.File) bool {
	err := lock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = lock(f, syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}

func lock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}
