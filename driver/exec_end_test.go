package driver

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// Nomad gives a driver pipes, which nobody reads any more when the user has hung up. A
// write that is under way then must end.
func TestDriver_ExecTaskStreaming_hungUp(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.sleeper(t)
	for name, tty := range map[string]bool{"a command on pipes ends": false, "a command on a terminal ends": true} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in, _ := io.Pipe()
			out, stdout := io.Pipe()
			_, stderr := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				_, err := b.driver.ExecTaskStreaming(ctx, cfg.ID, &drivers.ExecOptions{
					Command: []string{"/bin/hello", "flood", "100000"}, Tty: tty, Stdin: in, Stdout: stdout, Stderr: stderr,
				})
				ended <- err
			}()
			_, err := io.ReadFull(out, make([]byte, 100)) // and no more: it is in the middle
			must.NoError(t, err)
			cancel()
			select {
			case err := <-ended:
				must.ErrorContains(t, err, "canceled")
			case <-time.After(5 * time.Second):
				t.Fatal("the command still runs")
			}
		})
	}
}

// A terminal's sizes arrive in the same stream as its input. Sizes that nobody receives
// must not block the input.
func TestSizes(t *testing.T) {
	leak.Check(t, leak.Foreign)
	ctx, cancel := context.WithCancel(t.Context())
	in := make(chan drivers.TerminalSize)
	out := sizes(ctx, in)
	for rows := range 5 {
		select {
		case in <- drivers.TerminalSize{Height: rows, Width: 80}:
		case <-time.After(5 * time.Second):
			t.Fatal("sizes that nobody receives block their sender")
		}
	}
	newest := <-out
	must.Eq(t, 4, newest.Rows)
	must.Eq(t, 80, newest.Cols)
	cancel()
	_, more := <-out
	must.False(t, more)
	must.Nil(t, sizes(ctx, nil))
}
