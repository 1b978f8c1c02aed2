package driver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// Nomad gives a driver pipes without a buffer. While the user pauses, the last output of a
// command that has ended is in a pipe or terminal of the system, and must not be lost.
func TestDriver_ExecTaskStreaming_slowUser(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.sleeper(t)
	var want bytes.Buffer
	const lines = 6000 // less than a pipe holds
	for i := range lines {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	for name, tty := range map[string]bool{"the output on pipes is complete": false, "the output on a terminal is complete": true} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, stdout := io.Pipe()
			got := make(chan []byte, 1)
			go func() {
				first := make([]byte, 1)
				io.ReadFull(out, first)
				time.Sleep(2500 * time.Millisecond) // longer than the drain timeout
				rest, _ := io.ReadAll(out)
				got <- append(first, rest...)
			}()
			r, err := b.driver.ExecTaskStreaming(ctx, cfg.ID, &drivers.ExecOptions{
				Command: []string{"/bin/hello", "flood", fmt.Sprint(lines)}, Tty: tty,
				Stdin: io.NopCloser(strings.NewReader("")), Stdout: stdout, Stderr: closer{io.Discard},
			})
			must.NoError(t, err)
			must.Eq(t, 0, r.ExitCode)
			all := bytes.ReplaceAll(<-got, []byte("\r"), nil)
			must.True(t, bytes.Equal(want.Bytes(), all), must.Sprintf("%d of %d bytes", len(all), want.Len()))
		})
	}
}
