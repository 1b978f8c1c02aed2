//go:build linux

package linux

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
)

// groupUsage returns the usage of a jail from its control groups. It runs once a second for
// each task, so it reads no more files than it needs.
func groupUsage(name pot.Name) (u pot.Usage, err error) {
	var buf [statBytes]byte
	bases, err := hierarchies()
	if err != nil {
		return u, err
	}
	if base, ok := bases[""]; ok {
		return group2Usage(filepath.Join(base, string(name)))
	}
	cpu := filepath.Join(bases["cpuacct"], string(name))
	memory := filepath.Join(bases["memory"], string(name))
	times, err := readStat(buf[:], filepath.Join(cpu, "cpuacct.stat")) // cgroup-v1/cpuacct.rst: in USER_HZ
	if err != nil {
		return u, err
	}
	u.CPUUser, u.CPUSystem = time.Duration(number(times, "user"))*ticks, time.Duration(number(times, "system"))*ticks
	sizes, err := readStat(buf[:], filepath.Join(memory, "memory.stat")) // cgroup-v1/memory.rst, 5.2
	if err != nil {
		return u, err
	}
	u.MemoryBytes, u.SwapBytes = number(sizes, "rss"), number(sizes, "swap")
	u.Procs, err = processesIn(cpu)
	return u, err
}

// group2Usage returns the usage from a group of version 2 (cgroup-v2.rst).
func group2Usage(dir string) (u pot.Usage, err error) {
	var buf [statBytes]byte
	times, err := readStat(buf[:], filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return u, err
	}
	u.CPUUser = time.Duration(number(times, "user_usec")) * time.Microsecond
	u.CPUSystem = time.Duration(number(times, "system_usec")) * time.Microsecond
	sizes, err := readStat(buf[:], filepath.Join(dir, "memory.stat"))
	if err != nil {
		return u, err
	}
	u.MemoryBytes = number(sizes, "anon")
	if data, err := readStat(buf[:], filepath.Join(dir, "memory.swap.current")); err == nil {
		u.SwapBytes, _ = strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
	}
	u.Procs, err = processesIn(dir)
	return u, err
}

// statBytes is more than any file has that readStat reads.
const statBytes = 8 << 10

// readStat reads a file of a control group into buf. The kernel returns the whole file to
// one read.
func readStat(buf []byte, path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
}

// number returns the value of the line "NAME VALUE", 0 if there is none.
func number(lines []byte, name string) int64 {
	for line := range bytes.Lines(lines) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return n
		}
	}
	return 0
}

// processesIn returns the number of processes in a group.
func processesIn(dir string) (int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return bytes.Count(data, []byte("\n")), err
}
