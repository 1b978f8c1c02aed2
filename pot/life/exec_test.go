package life

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// Only an output that nothing comes to is quiet, not one whose bytes somebody takes slowly.
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
		must.False(t, w.quiet()) // what was before it was asked counts for nothing
		must.True(t, w.quiet())

		go command.Write([]byte("x"))
		synctest.Wait() // in Write: nobody has taken it
		must.False(t, w.quiet())
		must.False(t, w.quiet())
		io.ReadFull(taken, make([]byte, 1))
		synctest.Wait()
		must.False(t, w.quiet()) // it came meanwhile
		must.True(t, w.quiet())
		command.Close()
		<-done
	})
}
