//go:build linux

package linux_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

// BenchmarkStart measures a pot with an address, from nothing to a running command and
// back: "start-ms" and "stop-ms" for each. The image is imported before.
func BenchmarkStart(b *testing.B) {
	leak.Check(b)
	need.Have(b, "root", os.Geteuid() == 0)
	hosttest.Alone(b)
	bed := bed(b, hosttest.Build(b, supervisor))
	must.NoError(b, bed.Host.Images.Receive(b.Context(), "hello", bed.Stream()))
	pots := life.Open(bed.Host, potconf.Config{Dir: bed.Dir, Network: pot.DefaultNetwork, Supervisor: bed.Supervisor})
	b.Cleanup(func() { must.NoError(b, bed.Host.Images.Destroy(context.Background(), "hello")) })
	var starts, stops time.Duration
	for i := 0; b.Loop(); i++ {
		s := pot.Spec{
			Name: pot.Name(fmt.Sprintf("bench_%d", i)), Image: "hello", Network: pot.PublicBridge,
			Command: []string{"/bin/hello", "sleep", "1h"},
			Limits:  pot.Limits{MemoryBytes: 64 << 20, CPUShares: 100},
		}
		begun := time.Now()
		p, err := pots.Create(b.Context(), s)
		must.NoError(b, err)
		must.NoError(b, p.Start(b.Context(), nil))
		starts += time.Since(begun)
		begun = time.Now()
		must.NoError(b, p.Stop(b.Context(), syscall.SIGTERM, time.Minute))
		must.NoError(b, p.Destroy(b.Context()))
		stops += time.Since(begun)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(ms(starts), "start-ms")
	b.ReportMetric(ms(stops), "stop-ms")
}
