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

// limiter bounds jails by control groups, of version 1 or 2, whichever the
// machine has. A jail's first process is in none of them: it is the host's.
type limiter struct {
	read func(name pot.Name) (supervise.Jail, error) // jails.read

	mu sync.Mutex // the directory of all groups comes and goes with them
}

// allGroups is the directory, in each hierarchy, that our groups are in.
const allGroups = "nomad-driver-pot"

func newLimiter(dir string) *limiter {
	j := jails{dir: filepath.Join(dir, "host", "jails")}
	return &limiter{read: j.read}
}

// needed are the controllers of version 1 that must be there; others may be.
var needed = []string{"cpu", "cpuacct", "memory"}

var errNoGroups = errors.New("no control group")

// hierarchies are the directories of all our groups, by controller; version 2
// has one, under "".
var hierarchies = sync.OnceValues(func() (map[string]string, error) {
	if cgroups.IsCgroup2UnifiedMode() {
		return map[string]string{"": filepath.Join("/sys/fs/cgroup", allGroups)}, nil
	}
	all := map[string]string{}
	for _, c := range append(slices.Clone(needed), "cpuset", "pids") {
		on, err := cgroups.FindCgroupMountpoint("", c)
		switch {
		case err == nil:
			all[c] = filepath.Join(on, allGroups)
		case slices.Contains(needed, c):
			return nil, fmt.Errorf("%w for %s on this machine", errNoGroups, c)
		}
	}
	return all, nil
})

// version names what the machine has.
func (l *limiter) version() string {
	if cgroups.IsCgroup2UnifiedMode() {
		return "cgroup v2"
	}
	return "cgroup v1"
}

// probe tells why there can be no limits: a group is made, and removed again.
func (l *limiter) probe() error {
	m, err := l.manager(".probe", pot.Limits{})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(m.Apply(-1), m.Destroy(), l.dropAll())
}

// manager is the library's view of a jail's groups.
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
			continue // one more group to join is some milliseconds of a start
		}
		paths[c] = filepath.Join(base, string(name))
	}
	return cgroup1.NewManager(config, paths)
}

// shares is a weight within what the kernel takes (kernel/sched/sched.h,
// MIN_SHARES and MAX_SHARES). It is one against others', so the nearest will do.
func shares(weight int64) uint64 {
	const least, most = 2, 1 << 18
	if weight <= 0 {
		return 0 // none is asked for
	}
	return uint64(min(max(weight, least), most))
}

// Set implements pot.Limiter. Where there are no control groups nothing is bound:
// check has said so.
func (l *limiter) Set(ctx context.Context, name pot.Name, limits pot.Limits) error {
	if limits.OpenFiles > 0 || limits.ReadBPS > 0 || limits.WriteBPS > 0 || limits.ReadIOPS > 0 || limits.WriteIOPS > 0 {
		return fmt.Errorf("limits of open files, and of reads and writes: %w", pot.ErrUnsupported)
	}
	m, err := l.manager(name, limits)
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err = m.Apply(-1) // makes the groups, and puts nobody in
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil
	}
	if err == nil {
		config, _ := m.GetCgroups() // of both versions: what the manager was made with
		err = m.Set(config.Resources)
	}
	if err != nil {
		return errors.Join(err, l.clear(name))
	}
	return nil
}

// Clear implements pot.Limiter.
func (l *limiter) Clear(ctx context.Context, name pot.Name) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clear(name)
}

func (l *limiter) clear(name pot.Name) error {
	dirs, err := hierarchies()
	if err != nil {
		return nil
	}
	paths := map[string]string{}
	for c, base := range dirs {
		paths[c] = filepath.Join(base, string(name))
	}
	return errors.Join(cgroups.RemovePaths(paths), l.dropAll())
}

// dropAll removes the directories of all groups if no group is left in them.
func (l *limiter) dropAll() error {
	dirs, err := hierarchies()
	if err != nil {
		return nil
	}
	for _, base := range dirs {
		os.Remove(base) // fails while there are groups in it, as it must
	}
	return nil
}

// dirs are the groups of a jail that processes are to join.
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

// Usage implements pot.Limiter.
func (l *limiter) Usage(ctx context.Context, name pot.Name) (pot.Usage, error) {
	u, err := groupUsage(name)
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

// OutOfMemory implements pot.Limiter.
func (l *limiter) OutOfMemory(ctx context.Context, name pot.Name) (bool, error) {
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
