//go:build linux

package linux

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// unified is where a machine with hierarchies of version 1 has the one of version 2
// mounted (systemd(1), "hybrid"), if it has it.
const unified = "/sys/fs/cgroup/unified"

// topGroups returns the top groups of the hierarchies in which this process, and with it
// what it starts, is in another group, such as its service's, and none of joined is. The
// one of version 2 is the last. A pot whose group is of version 2 is in no other
// hierarchy.
func topGroups(joined []string) []string {
	if cgroups.IsCgroup2UnifiedMode() {
		return nil
	}
	mine, err := cgroups.ParseCgroupFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	var top []string
	for _, controller := range slices.Sorted(maps.Keys(mine)) {
		if controller == "" {
			continue
		}
		on, root, err := cgroups.FindCgroupMountpointAndRoot("", controller)
		if err != nil || mine[controller] == root || slices.Contains(top, on) {
			continue
		}
		inOn := func(dir string) bool { return strings.HasPrefix(dir, on+"/") }
		if !slices.ContainsFunc(joined, inOn) && writable(filepath.Join(on, "tasks")) {
			top = append(top, on)
		}
	}
	if in, ok := mine[""]; ok && in != "/" && writable(filepath.Join(unified, "cgroup.procs")) {
		top = append(top, unified)
	}
	return top
}

func writable(file string) bool { return unix.Access(file, unix.W_OK) == nil }
