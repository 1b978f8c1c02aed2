//go:build linux

package linux

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nomad-driver-pot/pot"
)

// groupUsage is what the control groups of a jail say. It is asked for each task
// each second, so it reads the few files that hold it, and no more.
func groupUsage(name pot.Name) (u pot.Usage, err error) {
	bases, err := hierarchies()
	if err != nil {
		return u, err
	}
	if base, ok := bases[""]; ok {
		return group2Usage(filepath.Join(base, string(name)))
	}
	cpu := filepath.Join(bases["cpuacct"], string(name))
	memory := filepath.Join(bases["memory"], string(name))
	times, err := readNumbers(cpu, "cpuacct.stat") // cgroup-v1/cpuacct.rst: in USER_HZ
	if err != nil {
		return u, err
	}
	u.CPUUser, u.CPUSystem = time.Duration(times["user"])*ticks, time.Duration(times["system"])*ticks
	sizes, err := readNumbers(memory, "memory.stat") // cgroup-v1/memory.rst, 5.2
	if err != nil {
		return u, err
	}
	u.MemoryBytes, u.SwapBytes = sizes["rss"], sizes["swap"]
	u.Procs, err = processesIn(cpu)
	return u, err
}

// group2Usage is that of a group of version 2: cgroup-v2.rst.
func group2Usage(dir string) (u pot.Usage, err error) {
	times, err := readNumbers(dir, "cpu.stat")
	if err != nil {
		return u, err
	}
	u.CPUUser = time.Duration(times["user_usec"]) * time.Microsecond
	u.CPUSystem = time.Duration(times["system_usec"]) * time.Microsecond
	sizes, err := readNumbers(dir, "memory.stat")
	if err != nil {
		return u, err
	}
	u.MemoryBytes = sizes["anon"]
	if data, err := os.ReadFile(filepath.Join(dir, "memory.swap.current")); err == nil {
		u.SwapBytes, _ = strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	}
	u.Procs, err = processesIn(dir)
	return u, err
}

// readNumbers are the lines "NAME NUMBER" of a file.
func readNumbers(dir, file string) (map[string]int64, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for line := range strings.Lines(string(data)) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, file), err)
		}
		all[name] = n
	}
	return all, nil
}

// processesIn is how many processes are in a group.
func processesIn(dir string) (int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return bytes.Count(data, []byte("\n")), err
}
