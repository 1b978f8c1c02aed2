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

// unified is where a machine with hierarchies of version 1 may also have version 2 mounted
// (systemd(1), "hybrid").
const unified = "/sys/fs/cgroup/unified"

// topGroups returns the root groups of the hierarchies that have no group in joined, and in
// which this process is in another than the root group, such as its service's. A pot joins
// them so that it is not in the group of the service that started it. The group of version
// 2 is the last. A pot with a group of version 2 is in no other hierarchy.
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
