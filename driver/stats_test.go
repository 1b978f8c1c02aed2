package driver

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestResources(t *testing.T) {
	leak.Check(t, leak.Foreign)
	u := pot.Usage{CPUUser: time.Second, CPUSystem: time.Second, MemoryBytes: 1 << 20, SwapBytes: 4096}
	c := newCPU(cpustats.Compute{TotalCompute: 8000, NumCores: 4})
	must.Zero(t, resources(u, c).ResourceUsage.CpuStats.Percent) // there is no previous sample

	time.Sleep(100 * time.Millisecond)
	u.CPUUser += 40 * time.Millisecond
	u.CPUSystem += 10 * time.Millisecond
	r := resources(u, c).ResourceUsage
	must.Between(t, 30, r.CpuStats.Percent, 50)
	must.Between(t, 24, r.CpuStats.UserMode, 40)
	must.Between(t, 6, r.CpuStats.SystemMode, 10)
	must.InDelta(t, r.CpuStats.Percent*20, r.CpuStats.TotalTicks, 0.001) // MHz of a core of 2 GHz
	must.Eq(t, 1<<20, r.MemoryStats.RSS)
	must.Eq(t, 1<<20, r.MemoryStats.Usage)
	must.Eq(t, 4096, r.MemoryStats.Swap)

	t.Run("a machine of unknown speed has no ticks", func(t *testing.T) {
		r := resources(u, newCPU(cpustats.Compute{}))
		must.False(t, math.IsNaN(r.ResourceUsage.CpuStats.TotalTicks))
	})
}

func TestDriver_TaskStats(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "spin", "10s")
	b.start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	samples, err := b.TaskStats(ctx, cfg.ID, 200*time.Millisecond)
	must.NoError(t, err)
	first := <-samples
	began := time.Now()
	<-samples
	must.Between(t, 100*time.Millisecond, time.Since(began), time.Second)
	second := <-samples // the tracker needs a previous time that is not 0
	for second != nil && second.ResourceUsage.MemoryStats.RSS == 0 {
		second = <-samples // FreeBSD counts memory once a second
	}
	must.NotNil(t, second)
	must.Less(t, second.Timestamp, first.Timestamp)
	cpu, memory := second.ResourceUsage.CpuStats, second.ResourceUsage.MemoryStats
	must.Between(t, 10, cpu.Percent, 250)
	must.Greater(t, 0, cpu.TotalTicks)
	must.Greater(t, 0, memory.RSS)
	must.Eq(t, memory.RSS, memory.Usage)
	must.Eq(t, []string{"System Mode", "User Mode", "Total Ticks", "Percent"}, cpu.Measured)
	must.Eq(t, []string{"RSS", "Swap", "Usage"}, memory.Measured)

	t.Run("a task that has ended has no samples, and the channel stays open", func(t *testing.T) {
		must.NoError(t, b.StopTask(cfg.ID, time.Second, ""))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		samples, err := b.driver.TaskStats(ctx, cfg.ID, 50*time.Millisecond)
		must.NoError(t, err)
		_, more := <-samples
		must.False(t, more)
		must.GreaterEq(t, 250*time.Millisecond, time.Since(began))
	})

	t.Run("samples of an unknown task are an error", func(t *testing.T) {
		_, err := b.driver.TaskStats(t.Context(), "no such", time.Second)
		must.ErrorIs(t, err, drivers.ErrTaskNotFound)
	})
}
