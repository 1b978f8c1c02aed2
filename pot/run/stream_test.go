package run_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

// pausing takes nothing for a while when the first of it comes.
type pausing struct {
	got   bytes.Buffer // not embedded: its ReadFrom does not pause
	pause func()
}

func (p *pausing) Write(b []byte) (int, error) {
	p.pause()
	return p.got.Write(b)
}

func TestHost_Stream(t *testing.T) {
	leak.Check(t)
	t.Run("a reader that pauses when the command has ended loses nothing", func(t *testing.T) {
		out := &pausing{pause: sync.OnceFunc(func() { time.Sleep(6500 * time.Millisecond) })} // more than run's bounds
		must.NoError(t, run.Host{}.Stream(t.Context(), out, "head", "-c", "60000", "/dev/zero"))
		must.Eq(t, 60000, out.got.Len())
	})
	t.Run("a command whose reader has gone ends, with an error", func(t *testing.T) {
		r, w := io.Pipe()
		must.NoError(t, r.Close())
		must.Error(t, run.Host{}.Stream(t.Context(), w, "cat", "/dev/zero"))
	})
	t.Run("a reader that hangs does not outlive its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		defer close(release)
		out := &pausing{pause: func() { cancel(); <-release }}
		must.ErrorIs(t, run.Host{}.Stream(ctx, out, "echo", "x"), context.Canceled)
	})
}
