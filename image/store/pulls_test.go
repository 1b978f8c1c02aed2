package store_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
)

// asked waits until the server is asked for file.
func (b *rig) asked(t *testing.T, file string) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(
		wait.BoolFunc(func() bool { return b.server.Gets(file) > 0 }),
		wait.Timeout(5*time.Second), wait.Gap(5*time.Millisecond),
	))
}

func TestStore_Ensure_together(t *testing.T) {
	leak.Check(t)
	t.Run("twenty who ask at once share one fetch and one import", func(t *testing.T) {
		b := newRig(t)
		b.server.Fail(b.small.File(), imagetest.Trickle(20*time.Millisecond))
		var mu sync.Mutex
		said := map[int][]string{}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				got, err := b.Ensure(t.Context(), b.small, anyImage, func(s string) {
					mu.Lock()
					defer mu.Unlock()
					said[i] = append(said[i], s)
				})
				test.NoError(t, err)
				test.Eq(t, "small_1_0", got.Name)
			})
		}
		wg.Wait()
		for _, suffix := range []string{"", ".meta", ".skein"} {
			must.Eq(t, 1, b.server.Gets(b.small.File()+suffix))
		}
		must.Eq(t, 1, b.datasets.Received())
		for i := range 20 {
			must.Eq(t, []string{"downloading small_1.0.xz", "importing small_1.0.xz"}, said[i])
		}
	})
	t.Run("an error goes to all callers, and the next call starts another pull", func(t *testing.T) {
		b := newRig(t)
		b.server.Fail(b.small.File(), func(w http.ResponseWriter, r *http.Request, file []byte) {
			time.Sleep(100 * time.Millisecond)
			imagetest.Status(503)(w, r, file)
		})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
				test.True(t, image.Retryable(err))
			})
		}
		wg.Wait()
		must.Eq(t, 1, b.server.Gets(b.small.File()))
		b.server.Fail(b.small.File(), nil)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
	})
}

func TestStore_Ensure_cancel(t *testing.T) {
	leak.Check(t)
	t.Run("one who gives up does not end it for another", func(t *testing.T) {
		b := newRig(t)
		b.server.Fail(b.small.File(), imagetest.Trickle(30*time.Millisecond))
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		var wg sync.WaitGroup
		wg.Go(func() { _, first = b.Ensure(ctx, b.small, anyImage, nil) })
		b.asked(t, b.small.File())
		joined := make(chan struct{})
		var once sync.Once
		wg.Go(func() {
			_, second = b.Ensure(t.Context(), b.small, anyImage, func(string) { once.Do(func() { close(joined) }) })
		})
		<-joined
		cancel()
		wg.Wait()
		must.ErrorIs(t, first, context.Canceled)
		must.False(t, image.Retryable(first))
		must.NoError(t, second)
		must.Eq(t, 1, b.server.Gets(b.small.File()))
	})
	t.Run("the last to give up ends the fetch", func(t *testing.T) {
		b := newRig(t)
		b.server.Fail(b.small.File(), imagetest.Stall())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		for range 2 {
			go func() {
				_, err := b.Ensure(ctx, b.small, anyImage, nil)
				done <- err
			}()
		}
		b.asked(t, b.small.File())
		cancel()
		must.ErrorIs(t, <-done, context.Canceled)
		must.ErrorIs(t, <-done, context.Canceled)
		b.nothingMade(t)
	})
	t.Run("the last to give up ends the import", func(t *testing.T) {
		b := newRig(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		b.datasets.Receiving = func(ctx context.Context, _ string) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		_, err := b.Ensure(ctx, b.small, anyImage, nil)
		must.ErrorIs(t, err, context.Canceled)
		b.nothingMade(t)
	})
	t.Run("who is late already begins nothing", func(t *testing.T) {
		b := newRig(t)
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		_, err := b.Ensure(ctx, b.small, anyImage, nil)
		must.ErrorIs(t, err, context.DeadlineExceeded)
		must.True(t, image.Retryable(err))
		must.Eq(t, 0, b.server.Gets("small_1.0.xz.skein"))
	})
}
