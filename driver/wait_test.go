package driver

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// WaitTask returns how a command ended, at its end and later.
func TestDriver_WaitTask(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	for _, tc := range []struct {
		args         []string
		code, signal int
	}{
		{[]string{"exit", "0"}, 0, 0},
		{[]string{"exit", "3"}, 3, 0},
		{[]string{"kill", "15"}, 143, 15},
		{[]string{"kill", "9"}, 137, 9},
	} {
		t.Run("hello "+strings.Join(tc.args, " ")+" returns its exit code and signal", func(t *testing.T) {
			cfg := b.task(t, `network_mode = "none"`, tc.args...)
			_, network := b.start(t, cfg)
			must.Nil(t, network)
			for range 2 { // at its end, and after
				result := b.wait(t, cfg.ID)
				must.Eq(t, tc.code, result.ExitCode)
				must.Eq(t, tc.signal, result.Signal)
				must.False(t, result.OOMKilled)
				must.NoError(t, result.Err)
			}
		})
	}
}

func TestDriver_WaitTask_several(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.sleeper(t)

	t.Run("a waiter that gives up gets nothing", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		results, err := b.driver.WaitTask(ctx, cfg.ID)
		must.NoError(t, err)
		_, ok := <-results
		must.False(t, ok)
	})

	t.Run("each waiter gets one result, even if the task is destroyed", func(t *testing.T) {
		var got sync.WaitGroup
		for range 5 {
			results, err := b.driver.WaitTask(t.Context(), cfg.ID)
			must.NoError(t, err)
			got.Go(func() {
				result := <-results
				must.Eq(t, 137, result.ExitCode)
				_, more := <-results
				must.False(t, more)
			})
		}
		must.NoError(t, b.DestroyTask(cfg.ID, true))
		got.Wait()
	})
}
