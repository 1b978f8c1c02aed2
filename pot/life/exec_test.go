package life

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// An output is quiet if the command writes nothing; an output whose reader is slow is not.
func TestOutput_quiet(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		terminal, command := io.Pipe()
		taken, taking := io.Pipe()
		w := &output{from: terminal, to: taking}
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.copy()
		}()
		synctest.Wait()
		must.False(t, w.quiet()) // the first call only notes the state
		must.True(t, w.quiet())

		go command.Write([]byte("x"))
		synctest.Wait() // the copy is blocked in Write
		must.False(t, w.quiet())
		must.False(t, w.quiet())
		io.ReadFull(taken, make([]byte, 1))
		synctest.Wait()
		must.False(t, w.quiet()) // a byte came since the last call
		must.True(t, w.quiet())
		command.Close()
		<-done
	})
}
