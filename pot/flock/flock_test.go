package flock

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot/hosttest/leak"
)

func TestLock(t *testing.T) {
	leak.Check(t)
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
				unlock, err := Lock(path)
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
	_, err := Lock(filepath.Join(path, "x"))
	must.Error(t, err)
}

func TestRead(t *testing.T) {
	leak.Check(t)
	path := filepath.Join(t.TempDir(), "file")
	must.NoError(t, os.WriteFile(path, nil, 0o600))
	open := func() *os.File {
		f, err := os.Open(path)
		must.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	f, first, second := open(), open(), open()
	must.False(t, Reading(f))
	must.NoError(t, Read(first))
	must.NoError(t, Read(second))
	must.True(t, Reading(f))
	must.NoError(t, first.Close())
	must.True(t, Reading(f))
	must.NoError(t, second.Close())
	must.False(t, Reading(f))
	must.NoError(t, Read(open()), must.Sprint("who asks holds nothing"))
}
