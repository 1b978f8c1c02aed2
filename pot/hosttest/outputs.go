package hosttest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/syncbuf"
	"nomad-driver-pot/pot/life"
)

// pausing is a slow reader of output: it pauses before the first write for longer than any
// timeout.
type pausing struct {
	syncbuf.Buffer
	once sync.Once
}

func (p *pausing) Write(b []byte) (int, error) {
	p.once.Do(func() { time.Sleep(2500 * time.Millisecond) })
	return p.Buffer.Write(b)
}

// flooded returns the output of "hello flood" with that many lines.
func flooded(lines int) string {
	var all strings.Builder
	for i := range lines {
		fmt.Fprintf(&all, "line %d\n", i)
	}
	return all.String()
}

// testOutputs checks that all output of a command arrives, however slow its reader is: much
// of it is still in a pipe or a terminal when the command has ended. The numbers of lines
// are below, near and above what a pipe of Linux holds (64 KiB).
func testOutputs(t *testing.T, bed Bed) {
	t.Run("a log collector that returns late gets all of the output", func(t *testing.T) { testFifo(t, bed) })
	tk := start(t, bed, spec("web", "sleep", "1h"))
	for name, tty := range map[string]bool{"pipe": false, "terminal": true} {
		for _, lines := range []int{700, 6000, 30000} {
			t.Run(fmt.Sprintf("%d lines by a %s", lines, name), func(t *testing.T) {
				out := new(pausing)
				exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "flood", fmt.Sprint(lines)}, Stdout: out, Terminal: tty})
				must.NoError(t, err)
				must.Eq(t, 0, exit.Code)
				must.True(t, flooded(lines) == strings.ReplaceAll(out.String(), "\r", ""), must.Sprintf("%d bytes have come", len(out.String())))
			})
		}
	}
}

// testFifo checks that a log collector that is away when its task ends, as while its agent
// is restarted, gets the last of the task's output when it returns. The kernel discards
// what a fifo holds when its last descriptor is closed: somebody must keep it open.
func testFifo(t *testing.T, bed Bed) {
	s := spec("web", "flood", "100")
	path := filepath.Join(t.TempDir(), "fifo")
	must.NoError(t, syscall.Mkfifo(path, 0o600))
	s.Stdout = path
	pots := bed.pots()
	p, err := pots.Create(t.Context(), s)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, pots.Destroy(context.Background(), s.Name)) })
	must.NoError(t, p.Start(t.Context(), nil))
	end, err := p.Wait(t.Context()) // does not wait for the log collector
	must.NoError(t, err)
	must.Eq(t, 0, end.Code)
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	must.NoError(t, err)
	defer r.Close()
	must.NoError(t, r.SetReadDeadline(time.Now().Add(time.Minute)))
	got, err := io.ReadAll(r)
	must.NoError(t, err)
	must.Eq(t, flooded(100), string(got))
}
