//go:build linux

package linux

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"nomad-driver-pot/pot"
)

// ticks is one USER_HZ, the unit of times in /proc/PID/stat: 1/100 s on every architecture
// that Go supports (proc(5), sysconf(3)).
const ticks = time.Second / 100

// processUsage sums up the usage of the processes in the PID namespace of process first,
// without that process. It is for machines without control groups, and does not count
// processes that have ended. Every process's files in /proc are read: it is slow on a large
// machine.
func processUsage(first int) (pot.Usage, error) {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", first))
	if err != nil {
		return pot.Usage{}, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return pot.Usage{}, err
	}
	var u pot.Usage
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == first {
			continue
		}
		if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil || its != ns {
			continue
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		addProcess(&u, string(data))
	}
	return u, nil
}

// addProcess adds the usage in the text of a /proc/PID/stat.
func addProcess(u *pot.Usage, stat string) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	field := func(n int) int64 { // by its number in proc(5)
		if n-3 >= len(fields) {
			return 0
		}
		v, _ := strconv.ParseInt(fields[n-3], 10, 64)
		return v
	}
	u.CPUUser += time.Duration(field(14)+field(16)) * ticks
	u.CPUSystem += time.Duration(field(15)+field(17)) * ticks
	u.MemoryBytes += field(24) * int64(os.Getpagesize())
	u.Procs++
}
