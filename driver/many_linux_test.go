package driver

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
)

// Bounds that TestDriver_manyTasks checks if POT_BENCH_TASKS sets the number of tasks.
const (
	// maxSlower is the last start against the first. It is to be 1.2, and is where memory
	// is the machine's own: a virtual machine's host gives pages out as they are touched.
	maxSlower     = 1.5
	maxPlugin     = 150 << 20 // bytes resident: of plugin, harness and test together
	maxSupervisor = 5 << 20   // bytes resident, of each
	maxStats      = 5.0       // percent of a core, for samples of all tasks each second
)

// defaultTasks is the number of tasks if POT_BENCH_TASKS is not set.
const defaultTasks = 200

// Many tasks run and stop at once, and leave nothing behind. The log has their start times
// and their cost, which make bench checks.
func TestDriver_manyTasks(t *testing.T) {
	leak.Check(t, leak.Foreign)
	if testing.Short() {
		t.Skip("takes a minute")
	}
	n, err := strconv.Atoi(os.Getenv("POT_BENCH_TASKS"))
	bench := err == nil
	if !bench {
		n = defaultTasks
	}
	b := newBed(t, "")
	b.unlogged = true
	warm := b.task(t, `network_mode = "none"`, "exit", "0") // brings the image
	b.start(t, warm)
	b.wait(t, warm.ID)
	must.NoError(t, b.DestroyTask(warm.ID, false))
	var all []*drivers.TaskConfig
	for range n {
		all = append(all, b.task(t, "", "sleep", "1h"))
	}
	if bench {
		touchMemory(t, n)
	}
	var starts []time.Duration
	for _, cfg := range all {
		begun := time.Now()
		b.start(t, cfg)
		starts = append(starts, time.Since(begun))
	}
	for _, cfg := range all {
		status, err := b.InspectTask(cfg.ID)
		must.NoError(t, err)
		must.Eq(t, drivers.TaskStateRunning, status.State)
	}
	const few = 25
	first, last := median(starts[:few]), median(starts[len(starts)-few:])
	slower := float64(last) / float64(first)
	stats := statsPercent(t, b, all)
	plugin, supervisors := resident(t, os.Getpid()), supervisorsResident(t)
	t.Logf("%d tasks: StartTask %s, the first %d %s, the last %d %s (%.2f times); plugin and harness %d KiB; supervisors %d KiB, at most %d; stats %.1f %% of a core",
		n, median(starts), few, first, few, last, slower, plugin>>10, median(supervisors)>>10, slices.Max(supervisors)>>10, stats)
	must.Len(t, n, supervisors)
	if bench {
		must.LessEq(t, maxSlower, slower)
		must.LessEq(t, maxPlugin, plugin)
		must.LessEq(t, maxSupervisor, slices.Max(supervisors))
		must.LessEq(t, maxStats, stats)
	}
	endAll(t, b, all)
}

// touchMemory uses as much memory as n tasks will, and frees it. In a virtual machine the
// first use of a page takes time on its host, which the last starts would wait for.
func touchMemory(t *testing.T, n int) {
	t.Helper()
	const each = 12 << 20 // two supervisors and the command, with what the kernel has of them
	var info unix.Sysinfo_t
	must.NoError(t, unix.Sysinfo(&info))
	size := min(n*each, int(info.Freeram)*int(info.Unit)/2)
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_POPULATE
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags)
	must.NoError(t, err)
	must.NoError(t, unix.Munmap(memory))
}

// endAll stops and destroys tasks, some concurrently, as Nomad does.
func endAll(t *testing.T, b *bed, all []*drivers.TaskConfig) {
	t.Helper()
	begun := time.Now()
	var group sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, cfg := range all {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := b.StopTask(cfg.ID, 10*time.Second, ""); err != nil {
				t.Error(err)
			}
			if err := b.DestroyTask(cfg.ID, true); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	t.Logf("stopped and destroyed in %s", time.Since(begun))
	must.SliceEmpty(t, supervisorsResident(t))
	nothingLeft(t, b.dir)
}

func median[T int64 | time.Duration](of []T) T {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// statsPercent returns what samples of all tasks at an interval of one second cost this
// process, in percent of a core. It fails the test if a process is started for them.
func statsPercent(t *testing.T, b *bed, all []*drivers.TaskConfig) float64 {
	t.Helper()
	const for_ = 5 * time.Second
	ctx := t.Context()
	samples := make(chan string, len(all))
	var watching sync.WaitGroup
	end := make(chan struct{})
	for _, cfg := range all {
		usage, err := b.driver.TaskStats(ctx, cfg.ID, time.Second)
		must.NoError(t, err)
		watching.Go(func() {
			for n := 0; ; n++ {
				select {
				case u := <-usage:
					if n == 1 && u.ResourceUsage.MemoryStats.RSS > 0 {
						samples <- cfg.ID
					}
				case <-end:
					return
				}
			}
		})
	}
	time.Sleep(time.Second) // the first samples are taken at once
	before, children := used(t, syscall.RUSAGE_SELF), used(t, syscall.RUSAGE_CHILDREN)
	time.Sleep(for_)
	spent := used(t, syscall.RUSAGE_SELF) - before
	must.Eq(t, children, used(t, syscall.RUSAGE_CHILDREN))
	close(end)
	watching.Wait()
	must.Eq(t, len(all), len(samples))
	return 100 * float64(spent) / float64(for_)
}

func used(t *testing.T, who int) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must.NoError(t, syscall.Getrusage(who, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the memory of a process in bytes: VmRSS (proc(5), status).
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	must.NoError(t, err)
	_, rest, found := strings.Cut(string(data), "VmRSS:")
	must.True(t, found)
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	must.NoError(t, err)
	return kib << 10
}

// supervisorsResident returns the memory of each supervisor of this package that runs a
// command, in bytes.
func supervisorsResident(t *testing.T) (all []int64) {
	t.Helper()
	processes, err := machine.Processes()
	must.NoError(t, err)
	for _, p := range processes {
		if slices.Equal(p.Argv, []string{supervisor, "run"}) {
			all = append(all, resident(t, p.PID))
		}
	}
	return all
}
