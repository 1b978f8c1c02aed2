// Package flock keeps processes from doing the same thing at the same time.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
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

// Wait is Lock that waits no longer than ctx does, by a file that is there while one of
// its callers holds it.
func Wait(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := try(path)
		if err == nil {
			return func() {
				os.Remove(path) // before it is let go: who has opened it will see that it is no more
				f.Close()
			}, nil
		}
		if !errors.Is(err, errHeld) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for who holds %s: %w", path, context.Cause(ctx))
		case <-time.After(waitEvery):
		}
	}
}

// waitEvery is how often Wait looks.
const waitEvery = 10 * time.Millisecond

// errHeld is a lock that somebody has, or has just let go.
var errHeld = errors.New("it is held")

func try(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = lock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || err == nil && !isAt(f, path) {
		err = errHeld
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// isAt tells whether f is what is at path.
func isAt(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	theirs, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, theirs)
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
