//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/moby/sys/mountinfo"
	"github.com/shoenig/test/must"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// fateName is the image of testdata/fate.
const fateName = "fate"

// serveFate builds that image, of that program alone, and serves it until the test
// ends.
func serveFate(t *testing.T) (url string) {
	t.Helper()
	tree := t.TempDir()
	must.NoError(t, os.MkdirAll(tree+"/bin", 0o755))
	goBuild(t, ".", "-o", tree+"/bin/fate", "./testdata/fate")
	a, err := build.Build(t.Context(), build.BuildOptions{
		Name: fateName, Tag: "1.0", Dir: t.TempDir(), From: tree,
		Conf: conf.New{Command: "/bin/fate"}, XZ: xz.WriteOptions{Workers: 1},
	})
	must.NoError(t, err)
	return serve(t, a).URL
}

// serve serves an image until the test ends.
func serve(t *testing.T, a build.Files) *imagetest.Server {
	t.Helper()
	s := imagetest.NewServer(t)
	for _, path := range []string{a.XZ, a.Meta, a.Skein} {
		data, err := os.ReadFile(path)
		must.NoError(t, err)
		s.Put(filepath.Base(path), data)
	}
	return s
}

// fate is what becomes of a task while something of Nomad's is dead.
type fate struct {
	name   string
	befall func(*testing.T, *victim)

	// What Nomad says of it then.
	runs      bool // it has not ended
	code, sig int
	oom       bool
	unknown   string // why nobody knows how it ended
}

var fates = []fate{
	{name: "it-runs", befall: func(*testing.T, *victim) {}, runs: true},
	{name: "it-ends-well", befall: told(syscall.SIGUSR1)},
	{name: "it-ends-with-a-code", befall: told(syscall.SIGUSR2), code: 3},
	{name: "a-signal-ends-it", befall: told(syscall.SIGTERM), code: 143, sig: 15},
	{name: "it-takes-too-much-memory", befall: told(syscall.SIGHUP), code: 137, sig: 9, oom: true},
	{name: "its-jail-is-gone", befall: jailGone, code: 137, sig: 9},
	{name: "the-machine-is-restarted", befall: rebooted, unknown: "its supervisor is gone"},
	{name: "its-record-is-older", befall: record(`{"version": 0}`), runs: true},
	{name: "its-record-is-damaged", befall: record("{"), runs: true},
}

// victim is a task that something is to become of.
type victim struct {
	job   string
	alloc *api.Allocation
	state string // the driver's directory
	pot   string // its name, and that of its record's directory

	supervisor, command, jail int // process IDs
}

// runVictim runs a job of the image, and waits until its task does.
func runVictim(t *testing.T, c *cluster.Cluster, name, images string) *victim {
	t.Helper()
	_, err := c.RunHCL(job{
		name: name, image: images, pot: fateName, config: `command = "/bin/fate"`,
		group: `network {
			port "http" { to = 8080 }
		}`,
	}.hcl(c), "")
	must.NoError(t, err)
	return &victim{job: name, state: c.StateDir()}
}

// find waits until the task runs, and finds out what it is on the machine.
func (v *victim) find(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	var err error
	v.alloc, err = c.Alloc(ctx(t), v.job, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusRunning, v.alloc.ClientStatus, must.Sprint(cluster.Story(v.alloc)))
	_, err = c.Says(ctx(t), v.alloc, "task", "ready")
	must.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(v.state, "pots", "task_*_"+v.alloc.ID))
	must.NoError(t, err)
	must.Len(t, 1, found)
	v.pot = filepath.Base(found[0])
	var running struct{ Supervisor, PID int }
	v.read(t, filepath.Join("pots", v.pot, "running.json"), &running)
	var jail struct{ ID int }
	v.read(t, filepath.Join("host/jails", v.pot), &jail)
	v.supervisor, v.command, v.jail = running.Supervisor, running.PID, jail.ID
}

func (v *victim) read(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(v.state, file))
	must.NoError(t, err)
	must.NoError(t, json.Unmarshal(data, into))
}

// ended waits for the exit record.
func (v *victim) ended(t *testing.T) {
	t.Helper()
	until(t, func() error {
		_, err := os.Stat(filepath.Join(v.state, "pots", v.pot, "exit.json"))
		return err
	})
}

// gone waits until there is no such process.
func gone(t *testing.T, pid int) {
	t.Helper()
	until(t, func() error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process %d is there: %w", pid, err)
		}
		return nil
	})
}

// told has the command end by a signal, itself or the kernel doing it.
func told(sig syscall.Signal) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		must.NoError(t, syscall.Kill(v.command, sig))
		v.ended(t)
	}
}

// jailGone takes the jail, and all that runs in it.
func jailGone(t *testing.T, v *victim) {
	must.NoError(t, syscall.Kill(v.jail, syscall.SIGKILL))
	v.ended(t)
}

// record puts something else in the place of the pot's record.
func record(text string) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		must.NoError(t, os.WriteFile(filepath.Join(v.state, "pots", v.pot, "record.json"), []byte(text), 0o600))
	}
}

// rebooted leaves of a pot what a restart of the machine does: what is on disk.
// Its process IDs are not there, nor its interfaces, mounts and control groups.
func rebooted(t *testing.T, v *victim) {
	must.NoError(t, syscall.Kill(v.supervisor, syscall.SIGKILL))
	gone(t, v.supervisor)
	must.NoError(t, syscall.Kill(v.jail, syscall.SIGKILL))
	gone(t, v.jail)
	links, err := netlink.LinkList()
	must.NoError(t, err)
	for _, l := range links {
		if l.Attrs().Alias == v.pot {
			must.NoError(t, netlink.LinkDel(l))
		}
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(v.state, "jails", v.pot)))
	must.NoError(t, err)
	must.SliceNotEmpty(t, mounts)
	for i := len(mounts) - 1; i >= 0; i-- {
		must.NoError(t, unix.Unmount(mounts[i].Mountpoint, unix.MNT_DETACH))
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/nomad-driver-pot/", "/sys/fs/cgroup/nomad-driver-pot/"} {
		groups, err := filepath.Glob(pattern + v.pot)
		must.NoError(t, err)
		for _, dir := range groups {
			until(t, func() error { // its last process may still be leaving
				if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			})
		}
	}
}

// mustBe fails the test unless Nomad says of the task what it should.
func (f fate) mustBe(t *testing.T, c *cluster.Cluster, v *victim) {
	t.Helper()
	if f.runs {
		f.mustRun(t, c, v)
		return
	}
	alloc, err := c.Alloc(ctx(t), v.job, api.AllocClientStatusComplete, api.AllocClientStatusFailed)
	must.NoError(t, err)
	story := must.Sprint(cluster.Story(alloc))
	state := alloc.TaskStates["task"]
	must.Eq(t, v.alloc.ID, alloc.ID, story)
	must.Eq(t, "dead", state.State, story)
	must.Eq(t, 0, state.Restarts, story)
	failed := f.code != 0 || f.unknown != ""
	must.Eq(t, failed, state.Failed, story)
	must.Eq(t, failed, alloc.ClientStatus == api.AllocClientStatusFailed, story)
	var ends []*api.TaskEvent
	for _, e := range state.Events {
		if e.Type == api.TaskTerminated {
			ends = append(ends, e)
		}
	}
	must.Len(t, 1, ends, story)
	if f.unknown != "" {
		must.StrContains(t, ends[0].DisplayMessage, "exit status of the command is unknown", story)
		must.StrContains(t, ends[0].DisplayMessage, f.unknown, story)
		must.NotEq(t, 0, ends[0].ExitCode, story)
		return
	}
	must.Eq(t, f.code, ends[0].ExitCode, story)
	must.Eq(t, f.sig, ends[0].Signal, story)
	must.Eq(t, f.oom, ends[0].Details["oom_killed"] == "true", story)
}

// mustRun fails the test unless the task is the process that it was, and hears
// what Nomad tells it.
func (f fate) mustRun(t *testing.T, c *cluster.Cluster, v *victim) {
	t.Helper()
	until(t, func() error { return c.Allocations().Signal(v.alloc, nil, "task", "SIGCONT") })
	out, err := c.Says(ctx(t), v.alloc, "task", "still here")
	must.NoError(t, err)
	must.Eq(t, 1, strings.Count(out, "ready"), must.Sprint(out))
	must.NoError(t, syscall.Kill(v.command, 0))
	now, _, err := c.Allocations().Info(v.alloc.ID, nil)
	must.NoError(t, err)
	story := must.Sprint(cluster.Story(now))
	must.Eq(t, api.AllocClientStatusRunning, now.ClientStatus, story)
	must.Eq(t, 0, now.TaskStates["task"].Restarts, story)
}
