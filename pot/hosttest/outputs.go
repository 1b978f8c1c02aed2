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

	"nomad-driver-pot/pot/life"
)

// pausing is a reader whose first Write takes longer than every timeout of package life's
// streams.
type pausing struct {
	lockedBuilder
	once sync.Once
}

func (p *pausing) Write(b []byte) (int, error) {
	p.once.Do(func() { time.Sleep(2500 * time.Millisecond) })
	return p.lockedBuilder.Write(b)
}

// flooded returns the output of hello flood.
func flooded(lines int) string {
	var all strings.Builder
	for i := range lines {
		fmt.Fprintf(&all, "line %d\n", i)
	}
	return all.String()
}

// testOutputs checks that a slow reader gets all of a command's output, although much of it
// is still in a pipe or a terminal when the command has ended.
func testOutputs(t *testing.T, bed Bed) {
	t.Run("a log collector that comes late gets the last output", func(t *testing.T) { testFifo(t, bed) })
	tk := start(t, bed, spec("web", "sleep", "1h"))
	for name, tty := range map[string]bool{"pipe": false, "terminal": true} {
		for _, lines := range []int{700, 6000, 30000} {
			t.Run(fmt.Sprintf("a slow reader gets %d lines from a %s", lines, name), func(t *testing.T) {
				out := new(pausing)
				exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "flood", fmt.Sprint(lines)}, Stdout: out, Terminal: tty})
				must.NoError(t, err)
				must.Eq(t, 0, exit.Code)
				must.True(t, flooded(lines) == strings.ReplaceAll(out.String(), "\r", ""), must.Sprintf("%d bytes have come", len(out.String())))
			})
		}
	}
}

// testFifo checks that a log collector that is not running when its task ends, because the
// agent restarts, gets the last of the task's output when it comes back.
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
