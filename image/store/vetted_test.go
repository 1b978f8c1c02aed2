package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestVetted(t *testing.T) {
	leak.Check(t)
	text := strings.Repeat("a stream ", 100_000)
	whole := func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	damaged := errors.New("damaged")
	broken := func(w io.Writer) error { io.WriteString(w, "beginning"); return damaged }

	t.Run("a host reads it", func(t *testing.T) {
		v := newVetted(whole)
		got, err := io.ReadAll(v)
		must.NoError(t, err)
		must.Eq(t, text, string(got))
		must.NoError(t, v.end())
	})
	t.Run("a host has it written to a command", func(t *testing.T) {
		v := newVetted(whole)
		var got bytes.Buffer
		n, err := v.WriteTo(&got)
		must.NoError(t, err)
		must.Eq(t, int64(len(text)), n)
		must.Eq(t, text, got.String())
		must.NoError(t, v.end())
	})
	t.Run("an error of the stream is returned, read or written", func(t *testing.T) {
		v := newVetted(broken)
		_, err := io.ReadAll(v)
		must.ErrorIs(t, err, damaged)
		must.ErrorIs(t, v.end(), damaged)

		v = newVetted(broken)
		_, err = v.WriteTo(io.Discard)
		must.ErrorIs(t, err, damaged)
		must.ErrorIs(t, v.end(), damaged)
	})
	t.Run("a host that reads a part is distinguished from a bad stream", func(t *testing.T) {
		v := newVetted(whole)
		_, err := io.ReadFull(v, make([]byte, 10))
		must.NoError(t, err)
		must.ErrorIs(t, v.end(), errNotRead)

		r, w, err := os.Pipe()
		must.NoError(t, err)
		must.NoError(t, r.Close())
		defer w.Close()
		v = newVetted(whole)
		_, err = v.WriteTo(w)
		must.ErrorIs(t, err, errNotRead)
		must.ErrorIs(t, v.end(), errNotRead)
	})
	t.Run("a host that never reads it", func(t *testing.T) {
		must.ErrorIs(t, newVetted(whole).end(), errNotRead)
	})
}
