package lockdir

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// pollInterval is the time between attempts to get a lock that another process holds.
const pollInterval = 5 * time.Millisecond

// LockShared locks a directory that processes share, exclusively (flock(2)). It waits for the
// lock until ctx is done, and then returns ctx's cause. Two calls in one process exclude each
// other too. It polls, since a blocking flock cannot be cancelled.
func LockShared(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, os.NewSyscallError("flock", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(pollInterval):
		}
	}
}

// LockPublished is LockShared for a directory that images are published in. On a file
// system without locks it does nothing.
func LockPublished(ctx context.Context, dir string) (unlock func(), err error) {
	unlock, err = LockShared(ctx, dir)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return func() {}, nil
	}
	return unlock, err
}
