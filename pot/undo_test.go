package pot

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// Undo runs although its context has ended, and ends on a host that does not answer.
func TestUndo(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		failed := errors.New("failed")
		must.ErrorIs(t, Undo(ctx, func(ctx context.Context) error { return errors.Join(ctx.Err(), failed) }), failed)
		begun := time.Now()
		err := Undo(ctx, func(ctx context.Context) error {
			must.NoError(t, ctx.Err())
			<-ctx.Done()
			return context.Cause(ctx)
		})
		must.ErrorContains(t, err, "not undone within 2m0s")
		must.Eq(t, undoTimeout, time.Since(begun))
	})
}
