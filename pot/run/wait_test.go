package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A process that hangs in the kernel ends after no signal: whoever waits for it gives up.
func TestWait(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		unblock := make(chan struct{})
		hangs := func() error { <-unblock; return nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		must.ErrorIs(t, wait(ctx, hangs, 10*time.Second), errUnkillable)
		must.Eq(t, time.Minute+10*time.Second, time.Since(begun))
		close(unblock)

		failed := errors.New("exit status 1")
		must.ErrorIs(t, wait(t.Context(), func() error { return failed }, time.Second), failed)
		slow := func() error { time.Sleep(5 * time.Second); return failed } // SIGTERM was enough
		must.ErrorIs(t, wait(ctx, slow, 10*time.Second), failed)
	})
}
