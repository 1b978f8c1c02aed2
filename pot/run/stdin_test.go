package run_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

// source is an io.WriterTo that writes n pieces and then returns err.
type source struct {
	piece []byte
	n     int
	err   error
}

func (source) Read([]byte) (int, error) { return 0, errors.New("is read") }

func (s source) WriteTo(w io.Writer) (int64, error) {
	for range s.n {
		if _, err := w.Write(s.piece); err != nil {
			return 0, err
		}
	}
	return 0, s.err
}

func TestHost_Run_writerTo(t *testing.T) {
	leak.Check(t)
	piece := bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB
	t.Run("what is written to a command reaches it whole", func(t *testing.T) {
		out, err := run.Host{}.Run(t.Context(), source{piece, 64, nil}, "sh", "-c", "wc -c")
		must.NoError(t, err)
		must.Eq(t, "8388608", strings.TrimSpace(out))
	})
	t.Run("the exit status of a command that does not read everything decides", func(t *testing.T) {
		out, err := run.Host{}.Run(t.Context(), source{piece, 64, nil}, "sh", "-c", "head -c 4")
		must.NoError(t, err)
		must.Eq(t, "0123", out)
		_, err = run.Host{}.Run(t.Context(), source{piece, 64, nil}, "sh", "-c", "echo no such stream >&2; exit 1")
		var e *run.Error
		must.True(t, errors.As(err, &e))
		must.Eq(t, "no such stream", e.Stderr)
	})
	t.Run("an error of the writer is returned even if the command succeeds", func(t *testing.T) {
		damaged := errors.New("damaged")
		_, err := run.Host{}.Run(t.Context(), source{piece, 3, damaged}, "sh", "-c", "cat > /dev/null")
		must.ErrorIs(t, err, damaged)
	})
	t.Run("a command that reads nothing ends with its context", func(t *testing.T) {
		late := errors.New("not done in time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, late)
		defer cancel()
		begun := time.Now()
		_, err := run.Host{}.Run(ctx, source{piece, 64, nil}, "sleep", "60")
		must.ErrorIs(t, err, late)
		must.Less(t, 3*time.Second, time.Since(begun))
	})
	t.Run("a missing command is an error, and nothing is written", func(t *testing.T) {
		_, err := run.Host{}.Run(t.Context(), source{piece, 1, nil}, "no-such-command")
		must.ErrorContains(t, err, "no such command")
	})
}
