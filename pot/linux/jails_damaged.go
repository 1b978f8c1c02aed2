//go:build linux

package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// findFirst finds the first process of a jail whose file is damaged, and writes the file
// again. The process is the first of its PID namespace, and its root is the pot's tree, in
// its dataset or, for a network that pots share, in the directory of its record.
// findFirst returns fs.ErrNotExist if no process matches.
func (j jails) findFirst(name pot.Name) (supervise.Jail, error) {
	state := filepath.Dir(filepath.Dir(j.dir))
	tree, err := os.Stat(filepath.Join(datasets{state}.path(string(ofPot(name))), "m"))
	if errors.Is(err, fs.ErrNotExist) {
		tree, err = os.Stat(filepath.Join(state, "pots", string(ofPot(name)), "m"))
	}
	if err != nil {
		return supervise.Jail{}, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return supervise.Jail{}, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !isFirst(pid) {
			continue
		}
		root, err := os.Stat(fmt.Sprintf("/proc/%d/root/", pid))
		if err != nil || !os.SameFile(root, tree) {
			continue
		}
		born, err := supervise.ProcessStartTicks(pid)
		if err != nil {
			continue // it has ended
		}
		id := supervise.Jail{ID: pid, StartTicks: born}
		_ = j.write(name, id) // on a full disk the next call finds it again
		return id, nil
	}
	return supervise.Jail{}, fmt.Errorf("jail %s: its file is damaged and its first process is gone: %w", name, fs.ErrNotExist)
}

// isFirst reports whether a process is the first of a PID namespace that was created in
// this one (proc(5), status, NSpid).
func isFirst(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return slices.Equal(strings.Fields(ids), []string{strconv.Itoa(pid), "1"})
		}
	}
	return false
}
