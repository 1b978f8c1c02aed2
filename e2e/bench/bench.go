// Package bench sizes the input of benchmarks and compares the cost of commands.
package bench

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// sizeVariable sets how many bytes of input a benchmark uses.
const sizeVariable = "POT_BENCH_BYTES"

// shortBytes is enough to see that a benchmark works, with -short.
const shortBytes = 4 << 20

// Bytes returns how many bytes of input a benchmark uses: POT_BENCH_BYTES if it is set, 4
// MiB with -short, normal otherwise.
func Bytes(t testing.TB, normal int64) int64 {
	t.Helper()
	switch text := os.Getenv(sizeVariable); {
	case text != "":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			t.Fatalf("%s must be a number of bytes, not %q", sizeVariable, text)
		}
		return n
	case testing.Short():
		return min(normal, shortBytes)
	}
	return normal
}

// Rounds returns how often a benchmark runs each command: 3 times, so that the median
// leaves out a disturbed run, or once with -short.
func Rounds() int {
	if testing.Short() {
		return 1
	}
	return 3
}

// Cost is what each run of a command took.
type Cost struct {
	Wall, User, System []time.Duration
	ResidentBytes      int64 // of the largest process: getrusage(2), ru_maxrss
	Commands           int   // of the host, that the last run counted; 0 if it counts none
}

// Costs has the costs of several commands, in the order of their first runs.
type Costs struct {
	names []string
	of    map[string]*Cost
}

// Of returns the cost of the command called name.
func (c *Costs) Of(name string) *Cost {
	if c.of == nil {
		c.of = map[string]*Cost{}
	}
	if c.of[name] == nil {
		c.of[name] = new(Cost)
		c.names = append(c.names, name)
	}
	return c.of[name]
}

// Run runs cmd, which must succeed, and adds its cost to the command called name. If cmd
// has no standard error, it gets the benchmark's.
func (c *Costs) Run(t testing.TB, name string, cmd *exec.Cmd) {
	t.Helper()
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	begun := time.Now()
	must.NoError(t, cmd.Run(), must.Sprint(name))
	o := c.Of(name)
	o.Wall = append(o.Wall, time.Since(begun))
	o.User = append(o.User, cmd.ProcessState.UserTime())
	o.System = append(o.System, cmd.ProcessState.SystemTime())
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		o.ResidentBytes = max(o.ResidentBytes, usage.Maxrss<<10)
	}
}

// Median returns the median.
func Median(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }

// Ratio returns name's median wall time divided by base's.
func (c *Costs) Ratio(name, base string) float64 {
	return float64(Median(c.Of(name).Wall)) / float64(Median(c.Of(base).Wall))
}

// Table returns the medians, a line for each command, with the ratio of its wall time to
// base's.
func (c *Costs) Table(base string) string {
	var table strings.Builder
	for _, name := range c.names {
		o := c.of[name]
		fmt.Fprintf(&table, "\n%-20s wall %6d ms (%.2f)  user %6d ms  sys %6d ms  resident %4d MB", name,
			Median(o.Wall).Milliseconds(), c.Ratio(name, base),
			Median(o.User).Milliseconds(), Median(o.System).Milliseconds(), o.ResidentBytes>>20)
		if o.Commands > 0 {
			fmt.Fprintf(&table, "  commands %d", o.Commands)
		}
	}
	return table.String()
}
