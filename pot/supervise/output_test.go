package supervise

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// unread returns a fifo that a command has written 1000 bytes to and that nobody reads.
func unread(t *testing.T) (f *fifo, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	must.NoError(t, syscall.Mkfifo(path, 0o600))
	w, f, err := openOutput(path)
	must.NoError(t, err)
	_, err = w.Write(make([]byte, 1000))
	must.NoError(t, err)
	must.NoError(t, w.Close())
	return f, path
}

// released calls f.release in the background; the channel is closed when it returns.
func released(f *fifo, within time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.release(time.Now().Add(within))
	}()
	return done
}

func TestFifo_release(t *testing.T) {
	leak.Check(t)
	t.Run("a reader that returns in time gets everything", func(t *testing.T) {
		f, path := unread(t)
		done := released(f, time.Minute)
		r, err := os.Open(path)
		must.NoError(t, err)
		defer r.Close()
		select {
		case <-done:
			t.Fatal("the fifo is closed before it was read")
		case <-time.After(5 * readerEvery):
		}
		got, err := io.ReadAll(r)
		must.NoError(t, err)
		must.True(t, bytes.Equal(make([]byte, 1000), got), must.Sprintf("%d bytes", len(got)))
		mustClose(t, done, "the fifo is not closed after it was read")
	})
	t.Run("a fifo that was removed is closed at once", func(t *testing.T) {
		f, path := unread(t)
		done := released(f, time.Hour)
		must.NoError(t, os.Remove(path))
		mustClose(t, done, "release waits for a reader that cannot open the fifo")
	})
	t.Run("the wait for a reader ends at the deadline", func(t *testing.T) {
		f, _ := unread(t)
		mustClose(t, released(f, 0), "release waits beyond its deadline")
	})
}
