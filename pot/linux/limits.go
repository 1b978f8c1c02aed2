//go:build linux

package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/opencontainers/cgroups"
	cgroup1 "github.com/opencontainers/cgroups/fs"
	cgroup2 "github.com/opencontainers/cgroups/fs2"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// limiter implements pot.Limits by control groups, of version 1 or 2, whichever the
// machine has. The first process of a jail is in none of them: it belongs to the host.
type limiter struct {
	read func(name pot.Name) (supervise.Jail, error) // jails.read

	mu sync.Mutex // held while groups, and with them allGroups, are created and removed
}

// allGroups is the directory of our groups in each hierarchy.
const allGroups = "nomad-driver-pot"

func newLimiter(dir string) *limiter {
	j := jails{dir: filepath.Join(dir, "host", "jails")}
	return &limiter{read: j.read}
}

// requiredControllers are the controllers of version 1 without which there are no limits.
var requiredControllers = []string{"cpu", "cpuacct", "memory"}

var errNoGroups = errors.New("no control group")

// hierarchies returns the directories of all our groups by controller; version 2 has one,
// under "".
var hierarchies = sync.OnceValues(func() (map[string]string, error) {
	if cgroups.IsCgroup2UnifiedMode() {
		return map[string]string{"": filepath.Join("/sys/fs/cgroup", allGroups)}, nil
	}
	all := map[string]string{}
	for _, c := range append(slices.Clone(requiredControllers), "cpuset", "pids") {
		on, err := cgroups.FindCgroupMountpoint("", c)
		switch {
		case err == nil:
			all[c] = filepath.Join(on, allGroups)
		case slices.Contains(requiredControllers, c):
			return nil, fmt.Errorf("%w for %s on this machine", errNoGroups, c)
		}
	}
	return all, nil
})

// version returns the version of control groups that the machine has.
func (l *limiter) version() string {
	if cgroups.IsCgroup2UnifiedMode() {
		return "cgroup v2"
	}
	return "cgroup v1"
}

// probe creates a group and removes it again. It returns the reason why there are no
// limits, if there is one.
func (l *limiter) probe() error {
	m, err := l.manager(".probe", pot.Limits{})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(m.Apply(-1), m.Destroy(), l.removeUnusedDirs())
}

// manager returns the library's object for a jail's groups. The library is runc's, which
// knows the files and units of both versions.
func (l *limiter) manager(name pot.Name, limits pot.Limits) (cgroups.Manager, error) {
	dirs, err := hierarchies()
	if err != nil {
		return nil, err
	}
	const period = 100_000 // microseconds: cgroup-v2.rst, cpu.max
	r := &cgroups.Resources{
		Memory:      limits.MemoryBytes,
		CpuShares:   shares(limits.CPUShares),
		CpusetCpus:  limits.CPUs,
		SkipDevices: true,
	}
	if limits.Processes > 0 {
		r.PidsLimit = &limits.Processes
	}
	if limits.CPUPercent > 0 {
		r.CpuPeriod, r.CpuQuota = period, limits.CPUPercent*period/100
	}
	config := &cgroups.Cgroup{Name: string(name), Resources: r}
	if base, ok := dirs[""]; ok {
		r.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(r.CpuShares)
		return cgroup2.NewManager(config, filepath.Join(base, string(name)))
	}
	paths := map[string]string{}
	for c, base := range dirs {
		if c == "cpuset" && limits.CPUs == "" || c == "pids" && limits.Processes == 0 {
			continue // each further group to join takes some milliseconds of a start
		}
		paths[c] = filepath.Join(base, string(name))
	}
	return cgroup1.NewManager(config, paths)
}

// shares returns weight within the kernel's bounds (kernel/sched/sched.h, MIN_SHARES and
// MAX_SHARES). Weights are relative, so the nearest is good enough.
func shares(weight int64) uint64 {
	const least, most = 2, 1 << 18
	if weight <= 0 {
		return 0 // not set
	}
	return uint64(min(max(weight, least), most))
}

// Set implements pot.Limits.Set. On a machine without control groups it sets nothing, which
// check reports. The groups exist before the jail, so that no process runs without limits.
func (l *limiter) Set(ctx context.Context, name pot.Name, limits pot.Limits) error {
	if limits.OpenFiles > 0 || limits.ReadBPS > 0 || limits.WriteBPS > 0 || limits.ReadIOPS > 0 || limits.WriteIOPS > 0 {
		return fmt.Errorf("limits of open files, and of reads and writes: %w", pot.ErrUnsupported)
	}
	name = ofPot(name)
	m, err := l.manager(name, limits)
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err = m.Apply(-1) // creates the groups and adds no process
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil
	}
	if err == nil {
		config, _ := m.GetCgroups() // of either version: the config that the manager was created with
		err = m.Set(config.Resources)
	}
	if err != nil {
		return errors.Join(err, l.clear(name))
	}
	return nil
}

// Clear implements pot.Limits.Clear.
func (l *limiter) Clear(ctx context.Context, name pot.Name) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clear(ofPot(name))
}

// clear removes a jail's groups, which are empty when its processes have ended. The caller
// must hold l.mu.
func (l *limiter) clear(name pot.Name) error {
	dirs, err := hierarchies()
	if err != nil {
		return nil
	}
	paths := map[string]string{}
	for c, base := range dirs {
		paths[c] = filepath.Join(base, string(name))
	}
	return errors.Join(cgroups.RemovePaths(paths), l.removeUnusedDirs())
}

// removeUnusedDirs removes the directories of all groups unless they have groups.
func (l *limiter) removeUnusedDirs() error {
	dirs, err := hierarchies()
	if err != nil {
		return nil
	}
	for _, base := range dirs {
		os.Remove(base) // fails while it has groups
	}
	return nil
}

// dirs returns the groups of a jail that its processes must join.
func (l *limiter) dirs(name pot.Name) []string {
	bases, err := hierarchies()
	if err != nil {
		return nil
	}
	var dirs []string
	for _, c := range slices.Sorted(maps.Keys(bases)) {
		dir := filepath.Join(bases[c], string(name))
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Usage implements pot.Limits.Usage.
func (l *limiter) Usage(ctx context.Context, name pot.Name) (pot.Usage, error) {
	u, err := groupUsage(ofPot(name))
	if errors.Is(err, errNoGroups) || errors.Is(err, fs.ErrNotExist) {
		jail, err := l.read(name)
		if err != nil {
			return pot.Usage{}, err
		}
		return processUsage(jail.ID)
	}
	if err != nil {
		return u, fmt.Errorf("usage of %s: %w", name, err)
	}
	return u, nil
}

// OutOfMemory implements pot.Limits.OutOfMemory. The kernel counts its kills in the group
// (memory.events of cgroup-v2.rst), which exists until Clear.
func (l *limiter) OutOfMemory(ctx context.Context, name pot.Name) (bool, error) {
	name = ofPot(name)
	if len(l.dirs(name)) == 0 {
		return false, nil
	}
	m, err := l.manager(name, pot.Limits{})
	if err != nil {
		return false, nil
	}
	kills, err := m.OOMKillCount()
	if err != nil {
		return false, fmt.Errorf("kills for memory in %s: %w", name, err)
	}
	return kills > 0, nil
}
