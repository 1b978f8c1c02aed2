package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/run"
)

// hostPlace is the dataset of a host of this machine: in a pool of its own.
type hostPlace string

func newHostPlace(t *testing.T) hostPlace {
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	root, remove, err := machine.Scratch(t.TempDir())
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, remove()) })
	return hostPlace(root)
}

// open is the host; a process that was told where may open it as well.
func (p hostPlace) open(t *testing.T) pot.Host {
	return freebsd.New(run.Host{}, freebsd.Native{}, freebsd.Config{
		ZFSRoot: string(p), Network: pot.DefaultNetwork,
		Supervisor: "/usr/bin/true", LockFile: filepath.Join(t.TempDir(), "lock"),
	})
}

// state is what each dataset and snapshot is, and what somebody has set on it.
func (p hostPlace) state(t *testing.T) any {
	return []string{
		p.zfs(t, "list", "-H", "-r", "-t", "all", "-o", "name,type,guid,mounted,origin,receive_resume_token"),
		p.zfs(t, "get", "-H", "-r", "-s", "local,received", "-o", "name,property,value,source", "all"),
	}
}

// names are those of the datasets and snapshots.
func (p hostPlace) names(t *testing.T) (all []string) {
	for name := range strings.Lines(p.zfs(t, "list", "-H", "-r", "-t", "all", "-o", "name")) {
		name = strings.TrimSpace(name)
		if _, name, found := strings.Cut(name, "/jails/"); found {
			name, _, _ = strings.Cut(name, "@")
			all = append(all, name)
		}
	}
	return all
}

func (p hostPlace) zfs(t *testing.T, argv ...string) string {
	out, err := run.Host{}.Run(t.Context(), nil, append(append([]string{"zfs"}, argv...), string(p))...)
	must.NoError(t, err)
	return string(out)
}

// namesOf are those that there are of one image alone: the pot and its files, and a
// snapshot of each.
func namesOf(image string) []string { return []string{image, image, image + "/m", image + "/m"} }

// peakMemory is the most that this process had resident, in KiB.
func peakMemory(t *testing.T) int {
	var u syscall.Rusage
	must.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return int(u.Maxrss)
}
