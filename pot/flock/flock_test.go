package flock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestLock(t *testing.T) {
	leak.Check(t)
	alone(t, func(path string) (func(), error) { return Lock(t.Context(), path) })
	path := filepath.Join(t.TempDir(), "no", "x")
	for range 2 { // the first failure holds nothing
		_, err := Lock(t.Context(), path)
		must.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestLock_context(t *testing.T) {
	leak.Check(t)
	late := errors.New("not done in time")
	wait := func(t *testing.T, path string) error {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Millisecond, late)
		defer cancel()
		_, err := Lock(ctx, path)
		return err
	}
	t.Run("a wait for another goroutine ends with the context", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		unlock, err := Lock(t.Context(), path)
		must.NoError(t, err)
		must.EqError(t, wait(t, path), "wait for the lock "+path+": not done in time")
		unlock()
		unlock() // once more is nothing
		unlock, err = Lock(t.Context(), path)
		must.NoError(t, err)
		unlock()
	})
	t.Run("a wait for another process ends with the context", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		other, err := os.Create(path) // flock(2) knows descriptors, not processes
		must.NoError(t, err)
		must.NoError(t, lock(other, syscall.LOCK_EX))
		must.ErrorIs(t, wait(t, path), late)
		time.AfterFunc(30*time.Millisecond, func() { other.Close() })
		unlock, err := Lock(t.Context(), path)
		must.NoError(t, err)
		unlock()
	})
	t.Run("a context that has ended gets no lock", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(late)
		path := filepath.Join(t.TempDir(), "lock")
		for range 20 { // a free turn and the end are there at the same time
			_, err := Lock(ctx, path)
			must.ErrorIs(t, err, late)
		}
		unlock, err := Lock(t.Context(), path)
		must.NoError(t, err)
		unlock()
	})
}

// alone fails the test if two callers hold the lock at the same time.
func alone(t *testing.T, lock func(path string) (func(), error)) {
	path := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	inside, most := 0, 0
	var mu sync.Mutex
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		inside += n
		most = max(most, inside)
	}
	for range 20 {
		wg.Go(func() {
			for range 20 {
				unlock, err := lock(path)
				if err != nil {
					t.Error(err)
					return
				}
				count(1)
				count(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	must.Eq(t, 1, most)
}

func TestWait(t *testing.T) {
	leak.Check(t)
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Wait(t.Context(), path)
	must.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = Wait(short, path)
	must.ErrorIs(t, err, context.DeadlineExceeded)
	must.ErrorContains(t, err, path)
	time.AfterFunc(30*time.Millisecond, unlock)
	unlock, err = Wait(t.Context(), path)
	must.NoError(t, err)
	unlock()
	must.FileNotExists(t, path)
	_, err = Wait(t.Context(), filepath.Join(path, "x"))
	must.Error(t, err)
	alone(t, func(path string) (func(), error) { return Wait(t.Context(), path) })
}
