// Package flock keeps processes from doing the same thing at the same time.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// Lock keeps all others, in any process, from what the file at path stands for,
// until unlock is called or this process ends (flock(2)). It waits no longer than
// ctx: whoever holds the lock may hang. The file is made if it is not there, and
// stays. Callers of one process get the lock in the order in which they asked.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	queue, _ := queues.LoadOrStore(path, make(chan struct{}, 1))
	turn := queue.(chan struct{})
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, waitError(ctx, path)
	}
	f, err := lockFile(ctx, path)
	if err != nil {
		<-turn
		return nil, err
	}
	return sync.OnceFunc(func() {
		f.Close()
		<-turn
	}), nil
}

// queues are this process's callers of Lock, by path: a channel with room for the
// one that holds the file, or waits for another process to release it.
var queues sync.Map

// lockFile opens and locks a file that other processes alone may hold.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		err := lock(f, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(waitEvery):
		}
	}
	f.Close()
	return nil, waitError(ctx, path)
}

// waitError is the end of a wait for the lock at path.
func waitError(ctx context.Context, path string) error {
	return fmt.Errorf("wait for the lock %s: %w", path, context.Cause(ctx))
}

// Wait is Lock by a file that exists only while a caller of Wait holds it.
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
			return nil, waitError(ctx, path)
		case <-time.After(waitEvery):
		}
	}
}

// waitEvery is how often a lock that another process holds is tried.
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
