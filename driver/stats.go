package driver

import (
	"context"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// The names of what is measured. Nomad drops names that are not in its own list
// (plugins/drivers/utils.go, cpuUsageMeasuredFieldFromProtoMap and
// memoryUsageMeasuredFieldFromProtoMap).
var (
	cpuMeasured    = []string{"System Mode", "User Mode", "Total Ticks", "Percent"}
	memoryMeasured = []string{"RSS", "Swap", "Usage"}
)

// minInterval is the shortest time between samples, whatever Nomad asks for.
const minInterval = 100 * time.Millisecond

// TaskStats implements drivers.DriverPlugin. It sends no more samples when the task
// has ended, but closes the channel only with ctx: Nomad would call it again at
// once.
func (d *Driver) TaskStats(ctx context.Context, id string, interval time.Duration) (<-chan *drivers.TaskResourceUsage, error) {
	t, err := d.lookup(id)
	if err != nil {
		return nil, err
	}
	return d.stats.listen(ctx, t, d.current().compute, max(interval, minInterval)), nil
}

// cpu computes shares of a processor from processor times.
type cpu struct {
	total, user, system *cpustats.Tracker
	cores               int
}

// newCPU is for one stream of samples: a percentage is the difference of two.
func newCPU(c cpustats.Compute) *cpu {
	return &cpu{cpustats.New(c), cpustats.New(c), cpustats.New(c), c.NumCores}
}

// resources translates a pot's usage. For Nomad, 100 percent is one core and ticks are
// MHz; both are averages since the previous sample.
func resources(u pot.Usage, c *cpu) *drivers.TaskResourceUsage {
	stats := &drivers.CpuStats{
		UserMode:   c.user.Percent(float64(u.CPUUser.Nanoseconds())),
		SystemMode: c.system.Percent(float64(u.CPUSystem.Nanoseconds())),
		Percent:    c.total.Percent(float64((u.CPUUser + u.CPUSystem).Nanoseconds())),
		Measured:   cpuMeasured,
	}
	if u.CPUPercent > 0 { // more exact than times, which some hosts count in whole seconds
		stats.Percent = u.CPUPercent
	}
	if c.cores > 0 { // else the ticks would be NaN
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
