package life

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A terminal is still read, a little at a time and in order, while its reader pauses.
func TestAhead(t *testing.T) {
	leak.Check(t)
	r, w, err := os.Pipe()
	must.NoError(t, err)
	defer r.Close()
	a := newAhead(r)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.run()
	}()
	holds := func(bytes int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			a.mu.Lock()
			n := len(a.held)
			a.mu.Unlock()
			if n >= bytes {
				return
			}
			must.True(t, time.Now().Before(deadline), must.Sprintf("%d bytes are held", n))
		}
	}
	first, rest := bytes.Repeat([]byte("a"), maxAhead), bytes.Repeat([]byte("b"), 1000)
	_, err = w.Write(first)
	must.NoError(t, err)
	holds(len(first))
	_, err = w.Write(rest)
	must.NoError(t, err)
	holds(len(first) + aheadBytes)
	must.NoError(t, w.Close())
	got, err := io.ReadAll(a)
	must.NoError(t, err)
	must.True(t, bytes.Equal(append(first, rest...), got), must.Sprintf("%d bytes", len(got)))
	<-ended
}
