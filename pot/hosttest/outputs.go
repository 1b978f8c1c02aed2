package hosttest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

// pausing is a reader that takes nothing for longer than anything is waited for, when the
// first of it comes.
type pausing struct {
	lockedBuilder
	once sync.Once
}

func (p *pausing) Write(b []byte) (int, error) {
	p.once.Do(func() { time.Sleep(2500 * time.Millisecond) })
	return p.lockedBuilder.Write(b)
}

// flooded is what hello writes when it is to flood.
func flooded(lines int) string {
	var all strings.Builder
	for i := range lines {
		fmt.Fprintf(&all, "line %d\n", i)
	}
	return all.String()
}

// testOutputs is that what a command in a pot writes arrives whole, however slowly it is
// taken: much of it is still in a pipe, or in a terminal, when the command has ended.
func testOutputs(t *testing.T, bed Bed) {
	tk := start(t, bed, spec("web", "sleep", "1h"))
	for name, tty := range map[string]bool{"pipe": false, "terminal": true} {
		for _, lines := range []int{700, 6000, 30000} {
			t.Run(fmt.Sprintf("%d lines by a %s", lines, name), func(t *testing.T) {
				out := new(pausing)
				exit, err := tk.Exec(t.Context(), pot.Exec{Argv: []string{"hello", "flood", fmt.Sprint(lines)}, Stdout: out, Terminal: tty})
				must.NoError(t, err)
				must.Eq(t, 0, exit.Code)
				must.True(t, flooded(lines) == strings.ReplaceAll(out.String(), "\r", ""), must.Sprintf("%d bytes have come", len(out.String())))
			})
		}
	}
}
