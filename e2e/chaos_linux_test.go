//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/shoenig/test/must"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func init() {
	faults = append(faults,
		fault{name: "jail removed", host: "linux", do: removeJail},
		fault{name: "link removed", host: "linux", do: removeLink},
		fault{name: "clone unmounted", host: "linux", do: unmountClone},
		fault{name: "disk full", host: "linux", do: fillDisk},
	)
}

// chaosState returns a directory for the driver's state on a file system of its own, which
// can be filled.
func chaosState(t *testing.T) string {
	t.Helper()
	must.Eq(t, 0, os.Geteuid(), must.Sprint("run as root"))
	dir := t.TempDir()
	must.NoError(t, unix.Mount("chaos", dir, "tmpfs", 0, "size=128m"))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

func removeJail(x *chaos) {
	v := x.victim()
	data, err := os.ReadFile(filepath.Join(x.state, "host/jails", v.pot))
	must.NoError(x, err)
	var jail struct{ ID int }
	must.NoError(x, json.Unmarshal(data, &jail))
	must.NoError(x, syscall.Kill(jail.ID, syscall.SIGKILL))
}

// removeLink removes the link of the service. Its task runs on without one until a user
// restarts it.
func removeLink(x *chaos) {
	alloc := x.alloc("service")
	pot, err := x.taskPot(alloc.ID, "task")
	must.NoError(x, err)
	links, err := netlink.LinkList()
	must.NoError(x, err)
	for _, l := range links {
		if l.Attrs().Alias == pot {
			must.NoError(x, netlink.LinkDel(l))
		}
	}
	until(x.T, func() error { return x.Allocations().RestartAllTasks(alloc, nil) })
}

// unmountClone unmounts what the tree of a task is made of. The task keeps what it has open
// until a user restarts it.
func unmountClone(x *chaos) {
	alloc := x.alloc("service")
	pot, err := x.taskPot(alloc.ID, "task")
	must.NoError(x, err)
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(x.state, "jails", pot)))
	must.NoError(x, err)
	must.SliceNotEmpty(x, mounts)
	for i := len(mounts) - 1; i >= 0; i-- {
		must.NoError(x, unix.Unmount(mounts[i].Mountpoint, unix.MNT_DETACH))
	}
	until(x.T, func() error { return x.Allocations().RestartAllTasks(alloc, nil) })
}

// fillDisk fills the file system of the driver's state while a task starts and the plugin
// is killed.
func fillDisk(x *chaos) {
	file := filepath.Join(x.state, "filler")
	f, err := os.Create(file)
	must.NoError(x, err)
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	must.ErrorIs(x, err, syscall.ENOSPC)
	must.NoError(x, f.Close())
	x.startBatch()
	must.NoError(x, syscall.Kill(x.victim().pid, syscall.SIGKILL))
	killPluginFault(x)
	x.startBatch()
	must.NoError(x, os.Remove(file))
}
