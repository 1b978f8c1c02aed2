package driver

import (
	"math"
	"runtime"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// mebibyte is what Nomad calls a MB, in bytes.
const mebibyte = 1 << 20

// unlimited is memory_max's word for no limit.
const unlimited = -1

// limits are what the task may use.
func (c *TaskConfig) limits(f *faults, r *drivers.Resources, compute cpustats.Compute) pot.Limits {
	var l pot.Limits
	if r == nil {
		return l
	}
	if n := r.NomadResources; n != nil {
		switch {
		case n.Memory.MemoryMaxMB == unlimited:
		default:
			l.MemoryBytes = max(n.Memory.MemoryMB, n.Memory.MemoryMaxMB) * mebibyte
		}
		l.CPUShares = n.Cpu.CpuShares
	}
	if x := r.LinuxResources; x != nil {
		l.CPUs = x.CpusetCpus
		if c.CPUHardLimit {
			l.CPUPercent = percent(f, x.PercentTicks, compute)
		}
	}
	return l
}

// percent is a share of all the machine's cores, 100 = one core.
func percent(f *faults, share float64, compute cpustats.Compute) int64 {
	cores := compute.NumCores
	if cores == 0 {
		cores = runtime.NumCPU()
	}
	p := share * 100 * float64(cores)
	if math.IsNaN(p) || math.IsInf(p, 0) || p <= 0 {
		f.add("config.cpu_hard_limit", "this client does not know its cores' speed: set cpu_total_compute in its configuration")
		return 0
	}
	return max(1, int64(math.Round(p)))
}
