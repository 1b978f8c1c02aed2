// Package flock lets one process, and one goroutine in it, do a thing at a time, by
// flock(2) on a file. Lock keeps its file; Wait removes it. Read and Reading mark a file
// that is being read.
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

// Lock locks the file at path exclusively until unlock is called or this process ends. It
// creates the file if it is missing and never removes it. Lock waits until ctx ends, since
// the holder may hang. Callers in one process get the lock in the order in which they
// called. unlock may be called more than once.
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

// queues orders the callers in this process, by path: a channel with room for the caller
// that holds the file or waits for another process to release it.
var queues sync.Map

// lockFile opens and locks a file that only other processes may hold.
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

// waitError is the error of a wait for the lock at path that ctx ended.
func waitError(ctx context.Context, path string) error {
	return fmt.Errorf("wait for the lock %s: %w", path, context.Cause(ctx))
}

// Wait is Lock with a file that exists only while a caller of Wait holds it.
func Wait(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := try(path)
		if err == nil {
			return func() {
				os.Remove(path) // before it is released: a waiter that has it open sees that it is gone
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

// waitEvery is the interval at which a lock that another process holds is tried.
const waitEvery = 10 * time.Millisecond

// errHeld means that another caller holds the lock or has just released it.
var errHeld = errors.New("it is held")

// try locks the file at path without waiting. It returns errHeld if the file was locked or
// removed meanwhile.
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

// isAt reports whether f is the file at path.
func isAt(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	theirs, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, theirs)
}

func lock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}
