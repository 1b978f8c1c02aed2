package driver

import (
	"math"
	"runtime"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-pot/pot"
)

// mebibyte is the number of bytes in what Nomad calls a MB.
const mebibyte = 1 << 20

// unlimited is the value of memory_max that means no limit.
const unlimited = -1

// limitsSpec is the schema of limits { … } in a task's config.
var limitsSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"maxproc":   hclspec.NewAttr("maxproc", "number", false),
	"openfiles": hclspec.NewAttr("openfiles", "number", false),
	"readbps":   hclspec.NewAttr("readbps", "string", false),
	"writebps":  hclspec.NewAttr("writebps", "string", false),
	"readiops":  hclspec.NewAttr("readiops", "number", false),
	"writeiops": hclspec.NewAttr("writeiops", "number", false),
	"wallclock": hclspec.NewAttr("wallclock", "string", false),
	"disk":      hclspec.NewAttr("disk", "string", false),
})

// LimitsConfig bounds what a task may use beside Nomad's resources. The keys are
// the resources of rctl(8); one that is not set is not bounded.
type LimitsConfig struct {
	MaxProc   int64  `codec:"maxproc"`   // processes
	OpenFiles int64  `codec:"openfiles"` // of all its processes
	ReadBPS   string `codec:"readbps"`   // bytes a second, as in "10MiB"
	WriteBPS  string `codec:"writebps"`
	ReadIOPS  int64  `codec:"readiops"` // operations a second
	WriteIOPS int64  `codec:"writeiops"`
	WallClock string `codec:"wallclock"` // as in "2h", after which the command is killed
	Disk      string `codec:"disk"`      // that may be written in the pot, as in "500MiB"
}

// add sets the limits of c in l. maxproc and the like of 0 are not set.
func (c *LimitsConfig) add(f *problems, l *pot.Limits) {
	for _, n := range []struct {
		key  string
		of   int64
		into *int64
	}{
		{"maxproc", c.MaxProc, &l.Processes}, {"openfiles", c.OpenFiles, &l.OpenFiles},
		{"readiops", c.ReadIOPS, &l.ReadIOPS}, {"writeiops", c.WriteIOPS, &l.WriteIOPS},
	} {
		if n.of < 0 {
			f.add("config.limits."+n.key, "must be at least 1, not %d", n.of)
		}
		*n.into = n.of
	}
	l.ReadBPS = size(f, "config.limits.readbps", c.ReadBPS)
	l.WriteBPS = size(f, "config.limits.writebps", c.WriteBPS)
}

// limits returns what the task may use: c's limits and Nomad's resources.
func (c *TaskConfig) limits(f *problems, r *drivers.Resources, compute cpustats.Compute) pot.Limits {
	var l pot.Limits
	c.Limits.add(f, &l)
	if r == nil {
		return l
	}
	if n := r.NomadResources; n != nil {
		if n.Memory.MemoryMaxMB != unlimited {
			l.MemoryBytes = max(n.Memory.MemoryMB, n.Memory.MemoryMaxMB) * mebibyte
		}
		l.CPUShares = n.Cpu.CpuShares
	}
	// Nomad sets LinuxResources on every system (client/allocrunner/taskrunner).
	if x := r.LinuxResources; x != nil {
		l.CPUs = x.CpusetCpus
		if c.CPUHardLimit {
			l.CPUPercent = percent(f, x.PercentTicks, compute)
		}
	}
	return l
}

// percent translates a share of all the machine's cores, 1 = all, to a percentage
// of one core.
func percent(f *problems, share float64, compute cpustats.Compute) int64 {
	cores := compute.NumCores
	if cores == 0 {
		cores = runtime.NumCPU()
	}
	p := share * 100 * float64(cores)
	if math.IsNaN(p) || math.IsInf(p, 0) || p <= 0 {
		f.add("config.cpu_hard_limit", "this client does not know the speed of its cores; set cpu_total_compute in its configuration")
		return 0
	}
	return max(1, int64(math.Round(p)))
}
