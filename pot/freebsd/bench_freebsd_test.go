package freebsd_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/run"
)

// clocked tells what each command takes.
type clocked struct {
	run.Host
	mu    sync.Mutex
	count int
	spent map[string]time.Duration
}

func (c *clocked) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	begun := time.Now()
	out, err := c.Host.Run(ctx, stdin, argv...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	c.spent[strings.Join(argv[:min(2, len(argv))], " ")] += time.Since(begun)
	return out, err
}

// BenchmarkLife is a pot's with a network, a port and limits, from its image to its
// command and back to nothing.
func BenchmarkLife(b *testing.B) {
	leak.Check(b)
	r := &clocked{spent: map[string]time.Duration{}}
	open := scratch(b, r)
	program := hosttest.Build(b, supervisor)
	h := open(program)
	must.NoError(b, h.Images.Receive(b.Context(), "hello", hello()))
	pots := life.Open(h, potconf.Config{Dir: b.TempDir(), Network: pot.DefaultNetwork, Supervisor: program})
	s := pot.Spec{
		Name: "bench", Image: "hello", Network: pot.PublicBridge, Command: []string{"/bin/hello", "sleep", "1h"},
		Ports:  []pot.Port{{Proto: conf.TCP, Host: netip.MustParseAddrPort("127.0.0.1:28080"), To: 8080}},
		Mounts: []pot.Mount{{Source: b.TempDir(), Target: "/local"}},
		Limits: pot.Limits{MemoryBytes: 64 << 20},
	}
	other := s // keeps the bridge
	other.Name, other.Ports = "other", nil
	keeper, err := pots.Create(b.Context(), other)
	must.NoError(b, err)
	b.Cleanup(func() { must.NoError(b, keeper.Destroy(context.Background())) })
	clear(r.spent)
	r.count = 0
	var create, start, stop, destroy time.Duration
	lap := func(d *time.Duration, begun time.Time) time.Time {
		now := time.Now()
		*d += now.Sub(begun)
		return now
	}
	for b.Loop() {
		now := time.Now()
		p, err := pots.Create(b.Context(), s)
		must.NoError(b, err)
		now = lap(&create, now)
		must.NoError(b, p.Start(b.Context(), nil))
		now = lap(&start, now)
		must.NoError(b, p.Stop(b.Context(), syscall.SIGTERM, 10*time.Second))
		now = lap(&stop, now)
		must.NoError(b, p.Destroy(b.Context()))
		lap(&destroy, now)
	}
	for unit, d := range map[string]time.Duration{"create": create, "start": start, "stop": stop, "destroy": destroy} {
		b.ReportMetric(float64(d.Milliseconds())/float64(b.N), unit+"-ms/op")
	}
	b.ReportMetric(float64(r.count)/float64(b.N), "commands/op")
	var table strings.Builder // one message: only ten are shown
	for _, command := range slices.Sorted(maps.Keys(r.spent)) {
		fmt.Fprintf(&table, "\n%-24s %6.1f ms", command, float64(r.spent[command].Microseconds())/1000/float64(b.N))
	}
	b.Log(table.String())
}
