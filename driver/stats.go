package driver

import (
	"context"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// What is measured, in the only words that Nomad lets through
// (plugins/drivers/utils.go, cpuUsageMeasuredFieldFromProto and its like).
var (
	cpuMeasured    = []string{"System Mode", "User Mode", "Total Ticks", "Percent"}
	memoryMeasured = []string{"RSS", "Swap", "Usage"}
)

// minInterval is between samples, whatever is asked for.
const minInterval = 100 * time.Millisecond

// TaskStats is drivers.DriverPlugin's. A task that has ended gives no samples,
// and no end of them before ctx: Nomad would ask again at once.
func (d *Driver) TaskStats(ctx context.Context, id string, interval time.Duration) (<-chan *drivers.TaskResourceUsage, error) {
	t, err := d.known(id)
	if err != nil {
		return nil, err
	}
	return d.stats.listen(ctx, t, d.current().compute, max(interval, minInterval)), nil
}

// cpu makes shares of a processor out of times.
type cpu struct {
	total, user, system *cpustats.Tracker
	cores               int
}

func newCPU(c cpustats.Compute) *cpu {
	return &cpu{cpustats.New(c), cpustats.New(c), cpustats.New(c), c.NumCores}
}

// resources is usage in Nomad's words. Percent is of one core, and ticks are
// MHz, both since the sample before.
func resources(u pot.Usage, c *cpu) *drivers.TaskResourceUsage {
	stats := &drivers.CpuStats{
		UserMode:   c.user.Percent(float64(u.CPUUser.Nanoseconds())),
		SystemMode: c.system.Percent(float64(u.CPUSystem.Nanoseconds())),
		Percent:    c.total.Percent(float64((u.CPUUser + u.CPUSystem).Nanoseconds())),
		Measured:   cpuMeasured,
	}
	if u.CPUPercent > 0 { // times of whole seconds say less
		stats.Percent = u.CPUPercent
	}
	if c.cores > 0 { // of none, ticks are not a number
		stats.TotalTicks = c.total.TicksConsumed(stats.Percent)
	}
	return &drivers.TaskResourceUsage{
		ResourceUsage: &drivers.ResourceUsage{
			CpuStats: stats,
			MemoryStats: &drivers.MemoryStats{
				RSS:      uint64(u.MemoryBytes),
				Swap:     uint64(u.SwapBytes),
				Usage:    uint64(u.MemoryBytes),
				Measured: memoryMeasured,
			},
		},
		Timestamp: time.Now().UnixNano(),
	}
}
