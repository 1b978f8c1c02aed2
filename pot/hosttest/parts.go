package hosttest

import (
	"context"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/pot/supervise"
)

// testImages checks pot.Images: receiving, renaming, labels and names. A name must stand
// for a whole image or for nothing: the next task clones whatever has it.
func testImages(t *testing.T, bed Bed) {
	h := bed.Host.Images
	// An image must not change under the pots that are cloned from it.
	t.Run("an image is not received over another", func(t *testing.T) {
		must.ErrorIs(t, h.Receive(t.Context(), image, bed.Stream()), fs.ErrExist)
	})
	// A pull that is cut short ends so. zfs receive keeps the datasets that it has created
	// by then.
	t.Run("an invalid stream leaves nothing", func(t *testing.T) {
		must.Error(t, h.Receive(t.Context(), "garbage", strings.NewReader(strings.Repeat("garbage", 1000))))
		names, err := h.List(t.Context(), "garbage")
		must.NoError(t, err)
		must.SliceEmpty(t, names)
	})
	// Images are received under an import's name and renamed when they are complete: the
	// digest must come along.
	t.Run("a renamed image keeps its labels", func(t *testing.T) {
		want := map[string]string{"nomad.pot:ref": "r", "nomad.pot:digest": "d"}
		must.NoError(t, h.Receive(t.Context(), "_import", bed.Stream()))
		must.NoError(t, h.SetLabels(t.Context(), "_import", want))
		must.ErrorIs(t, h.Rename(t.Context(), "_import", image), fs.ErrExist)
		must.NoError(t, h.Rename(t.Context(), "_import", "other"))
		got, err := h.Labels(t.Context(), "other")
		must.NoError(t, err)
		must.Eq(t, want, got)
		for range 2 { // removing a missing label succeeds
			must.NoError(t, h.SetLabels(t.Context(), "other", map[string]string{"nomad.pot:ref": "", "nomad.pot:x": "y"}))
		}
		got, err = h.Labels(t.Context(), "other")
		must.NoError(t, err)
		must.Eq(t, map[string]string{"nomad.pot:digest": "d", "nomad.pot:x": "y"}, got)
		names, err := h.List(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, []string{image, "other"}, names)
		must.NoError(t, h.Destroy(t.Context(), "other"))
		must.NoError(t, h.Destroy(t.Context(), "other"))
		_, err = h.Labels(t.Context(), "other")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a dataset has the time of its creation", func(t *testing.T) {
		created, err := h.Created(t.Context())
		must.NoError(t, err)
		must.Len(t, 1, slices.Collect(maps.Keys(created)))
		must.True(t, created[image].After(time.Unix(0, 0)))
	})
	// GUIDs are how a layer finds the snapshot that it was made from.
	t.Run("labels are found on all that have them", func(t *testing.T) {
		must.NoError(t, h.Receive(t.Context(), "other", bed.Stream()))
		must.NoError(t, h.SetLabels(t.Context(), "other", map[string]string{conf.LabelReceived: "d 1 2", conf.LabelRef: "r"}))
		got, err := h.Labelled(t.Context(), conf.LabelReceived, conf.LabelDigest)
		must.NoError(t, err)
		must.Eq(t, map[string]map[string]string{"other": {conf.LabelReceived: "d 1 2"}}, got)
		guids, err := h.GUIDs(t.Context(), "other")
		must.NoError(t, err)
		snapshots, err := bed.Host.Snapshots.List(t.Context(), "other")
		must.NoError(t, err)
		for _, s := range snapshots {
			if s.GUID != 0 {
				must.SliceContains(t, guids, s.GUID)
			}
		}
		must.NoError(t, h.Destroy(t.Context(), "other"))
		got, err = h.Labelled(t.Context(), conf.LabelReceived)
		must.NoError(t, err)
		must.MapEmpty(t, got)
		_, err = h.GUIDs(t.Context(), "other")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	// Names come from job files; ".." would reach datasets and directories beside the
	// pots'.
	t.Run("a path is refused as a name", func(t *testing.T) {
		for _, name := range []string{"", ".", "..", "a/b", "../x", "/x"} {
			_, err := h.GUIDs(t.Context(), name)
			must.Error(t, err)
			must.Error(t, h.Receive(t.Context(), name, bed.Stream()))
			must.Error(t, h.Destroy(t.Context(), name))
		}
	})
}

// testDatasets checks pot.Cloner: clones, which depend on their image and do not change it.
// Every task of an image shares its blocks: a write that reached the image would reach them
// all.
func testDatasets(t *testing.T, bed Bed) {
	h := bed.Host
	labels := map[string]string{"nomad.pot:alloc": "a"}
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "web", Labels: labels})
	must.NoError(t, err)
	// fs.ErrExist tells the caller that it must not undo: the clone belongs to another pot.
	t.Run("a clone is not made over another", func(t *testing.T) {
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "web"})
		must.ErrorIs(t, err, fs.ErrExist)
	})
	t.Run("a clone of nothing is refused", func(t *testing.T) {
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "nosuch", Name: "web2"})
		must.ErrorIs(t, err, fs.ErrNotExist)
		_, err = h.Datasets.Dir(t.Context(), "web2")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a change in a clone does not change the image", func(t *testing.T) {
		must.FileExists(t, filepath.Join(dir, "m/bin/hello"))
		must.NoError(t, os.WriteFile(filepath.Join(dir, "m/etc/new"), nil, 0o644))
		of, err := h.Datasets.Dir(t.Context(), image)
		must.NoError(t, err)
		must.FileNotExists(t, filepath.Join(of, "m/etc/new"))
	})
	// The text is zfs destroy's own on every host, since users search for it.
	t.Run("an image that a clone needs is not destroyed", func(t *testing.T) {
		must.ErrorContains(t, h.Images.Destroy(t.Context(), image), "dependent clones")
	})
	// Idle images are destroyed to free space. One without the label belongs to a person.
	t.Run("an image that a clone needs or that has no label is not idle", func(t *testing.T) {
		must.NoError(t, h.Images.Receive(t.Context(), "unused", bed.Stream()))
		must.NoError(t, h.Images.Receive(t.Context(), "another", bed.Stream()))
		for _, name := range []string{"unused", image} {
			must.NoError(t, h.Images.SetLabels(t.Context(), name, map[string]string{"nomad.pot:ref": name}))
		}
		idle, err := h.Images.Idle(t.Context(), "nomad.pot:ref")
		must.NoError(t, err)
		must.Eq(t, []string{"unused"}, idle)
		for _, name := range []string{"unused", "another"} {
			must.NoError(t, h.Images.Destroy(t.Context(), name))
		}
	})
	// A clone has its own and none of its image's: otherwise it would count as an image.
	t.Run("labels stay with a clone", func(t *testing.T) {
		got, err := h.Images.Labels(t.Context(), "web")
		must.NoError(t, err)
		must.Eq(t, labels, got)
	})
	// A destroy that is repeated after a crash must end.
	t.Run("a clone can be destroyed twice", func(t *testing.T) {
		must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
		must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
	})
}

// testLinks checks pot.Links without a jail: one link for each pot. A second link of the
// same pot would be one that nobody removes: pot left epairs behind in this way.
func testLinks(t *testing.T, bed Bed) {
	h := bed.Host.Links
	link := func(name pot.Name, addr string) pot.Link {
		return pot.Link{Pot: name, Address: netip.MustParsePrefix(addr), Gateway: pot.DefaultNetwork.Gateway}
	}
	must.NoError(t, h.Attach(t.Context(), link("a", "10.192.0.9/10")))
	must.NoError(t, h.Attach(t.Context(), link("b", "10.192.0.10/10")))
	// A plugin that repeats a start after a crash must not take over what another process
	// has made.
	t.Run("a pot has one link", func(t *testing.T) {
		must.ErrorIs(t, h.Attach(t.Context(), link("a", "10.192.0.11/10")), fs.ErrExist)
	})
	t.Run("a link can be detached twice", func(t *testing.T) {
		must.NoError(t, h.Detach(t.Context(), "a"))
		must.NoError(t, h.Detach(t.Context(), "a"))
		must.NoError(t, h.Detach(t.Context(), "b"))
	})
}

// testJails checks pot.Jails: one jail of a name, which ends with its processes. A jail
// that stays, dying, keeps its name and its tree busy for the next start.
func testJails(t *testing.T, bed Bed) {
	h := bed.Host
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "web"})
	must.NoError(t, err)
	jail := pot.Jail{Name: "web", Root: filepath.Join(dir, "m"), Hostname: "web.test", Network: pot.NoNetwork}
	must.NoError(t, h.Jails.Create(t.Context(), jail))
	t.Run("there is one jail of a name", func(t *testing.T) {
		must.ErrorIs(t, h.Jails.Create(t.Context(), jail), fs.ErrExist)
	})
	found, err := h.Jails.Find(t.Context(), "web")
	must.NoError(t, err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must.NoError(t, err)
	defer null.Close()
	p := &supervise.Process{Jail: found, Argv: []string{"hello", "sleep", "1h"}, Stdin: null, Stdout: null, Stderr: null, Supervisor: bed.Supervisor}
	running, err := p.Start()
	must.NoError(t, err)
	ended := make(chan *os.ProcessState, 1)
	go func() { // a jail is not gone before its processes are waited for
		state, _ := running.Wait()
		ended <- state
	}()
	// The error comes from within the jail: the program of the host's same path must not be
	// run.
	t.Run("a command that is not in the jail is not started", func(t *testing.T) {
		p := &supervise.Process{Jail: found, Argv: []string{"/bin/nosuch"}, Stdin: null, Stdout: null, Stderr: null, Supervisor: bed.Supervisor}
		_, err := p.Start()
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	// The caller destroys the tree next, so that no process may still run when Remove
	// returns.
	t.Run("a jail is removed with its processes, and can be removed twice", func(t *testing.T) {
		begun := time.Now()
		must.NoError(t, h.Jails.Remove(t.Context(), "web"))
		must.NoError(t, h.Jails.Remove(t.Context(), "web"))
		must.Eq(t, int(syscall.SIGKILL), supervise.ExitOf(<-ended).Signal)
		must.Less(t, 5*time.Second, time.Since(begun))
		_, err = h.Jails.Find(t.Context(), "web")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a jail that cannot be created leaves nothing", func(t *testing.T) {
		bad := jail
		bad.Name, bad.Root = "bad", filepath.Join(dir, "nosuch")
		must.Error(t, h.Jails.Create(t.Context(), bad))
		_, err = h.Jails.Find(t.Context(), "bad")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	must.NoError(t, h.Mounts.UnmountAll(t.Context(), jail.Root))
	must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
}

// testLimits checks pot.Limits by commands that reach their limits. A kernel without
// accounting skips it: pots run there without limits.
func testLimits(t *testing.T, bed Bed) {
	for _, f := range bed.Host.Check(t.Context()) {
		if f.Key == "limits" {
			need.Have(t, "limits", f.Severity == pot.Info)
		}
	}
	// It is one process: in a pot with several the kernel chooses.
	t.Run("a command above its memory limit is killed and out of memory", func(t *testing.T) {
		s := spec("eater", "eat", "256")
		s.Limits = pot.Limits{MemoryBytes: 32 << 20}
		end := start(t, bed, s).wait(t)
		must.Eq(t, 128+int(syscall.SIGKILL), end.Code)
		must.True(t, end.OutOfMemory)
	})
	// Nomad shows OOM Killed to the user, who would raise a limit that is not the reason.
	t.Run("a command that was killed otherwise is not out of memory", func(t *testing.T) {
		s := spec("killed", "kill", "9")
		s.Limits = pot.Limits{MemoryBytes: 64 << 20}
		end := start(t, bed, s).wait(t)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
		must.False(t, end.OutOfMemory)
	})
	t.Run("a stopped command is not out of memory because an exec was", func(t *testing.T) {
		s := spec("deaf", "signals")
		s.Limits = pot.Limits{MemoryBytes: 64 << 20}
		tk := start(t, bed, s)
		tk.says(t, "ready")
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"/bin/hello", "eat", "256"}})
		must.NoError(t, err)
		must.Eq(t, int(syscall.SIGKILL), exit.Signal)
		// rctl(8) kills whatever in the jail it looks at while there is too much, this one too
		alive := tk.Running()
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, 100*time.Millisecond))
		end := tk.wait(t)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
		must.Eq(t, !alive, end.OutOfMemory)
		if !alive {
			must.Eq(t, "freebsd", runtime.GOOS, must.Sprint("a control group kills only the process that asks for more"))
		}
	})
	// Nomad's MHz have no bound; cpu.weight of control groups has 1 to 10000.
	t.Run("a weight beyond the host's bounds is accepted", func(t *testing.T) {
		for name, weight := range map[pot.Name]int64{"light": 1, "heavy": 1 << 20} {
			s := spec(name, "exit", "0")
			s.Limits = pot.Limits{CPUShares: weight}
			must.Eq(t, 0, start(t, bed, s).wait(t).Code)
		}
	})
	// The time spans three ticks, since rctl(8) counts whole seconds.
	t.Run("usage grows with work", func(t *testing.T) {
		s := spec("spinner", "spin", "10m")
		s.Limits = pot.Limits{CPUPercent: 50, CPUShares: 100}
		tk := start(t, bed, s)
		begun := time.Now()
		time.Sleep(time.Second + 3*bed.Tick)
		u, err := tk.Usage(t.Context())
		must.NoError(t, err)
		used, elapsed := u.CPUUser+u.CPUSystem, time.Since(begun)
		must.Greater(t, 100*time.Millisecond, used)
		must.Less(t, elapsed*3/4+bed.Tick, used, must.Sprintf("half a core was to be the most in %s", elapsed))
		must.Positive(t, u.MemoryBytes)
		must.Eq(t, 1, u.Procs)
	})
	t.Run("a jail that does not exist has no usage", func(t *testing.T) {
		_, err := bed.Host.Limits.Usage(t.Context(), "nosuch")
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.NoError(t, bed.Host.Limits.Clear(t.Context(), "nosuch"))
	})
}

// testLeftovers is that whatever is left of a pot is found, by what is written on it. The
// driver destroys them when no task has their name; anything that it does not find stays
// until somebody looks.
func testLeftovers(t *testing.T, bed Bed) {
	h := bed.Host
	leftovers := func(t *testing.T) []pot.Name {
		all, err := h.Leftovers(t.Context(), nil)
		must.NoError(t, err)
		return all
	}
	none := leftovers(t)
	t.Run("a clone is found, an image is not", func(t *testing.T) {
		must.NoError(t, h.Images.SetLabels(t.Context(), image, map[string]string{"nomad.pot:ref": "r"}))
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "m_data", Labels: map[string]string{conf.LabelTask: "m"}})
		must.NoError(t, err)
		must.SliceContains(t, leftovers(t), "m_data")
		must.NoError(t, h.Datasets.Destroy(t.Context(), "m_data"))
	})
	// No task has its name, and a driver would destroy it.
	t.Run("a pot started by hand is not found, even if it is named like a task's", func(t *testing.T) {
		const name = pot.Name("web_0badcafe_6f3e6b3c-8f0e-4a35-9c2c-0123456789ab")
		var told []pot.Name
		host := h
		host.Leftovers = func(ctx context.Context, known []pot.Name) ([]pot.Name, error) {
			told = known
			found, err := h.Leftovers(ctx, known)
			return append(found, name, "no name"), err
		}
		own := Bed{Host: host, Dir: bed.Dir, Supervisor: bed.Supervisor}
		pots := own.pots()
		_, err := local.Create(t.Context(), pots, name, bed.Stream())
		must.NoError(t, err)
		_, _, err = local.Start(t.Context(), pots, name, local.StartOptions{NoCommand: true})
		must.NoError(t, err)
		create(t, own, spec("task"))
		got, err := pots.Leftovers(t.Context())
		must.NoError(t, err)
		must.SliceContains(t, got, "task")
		must.SliceNotContains(t, got, name)
		must.SliceNotContains(t, got, "no name")
		must.SliceContainsAll(t, told, []pot.Name{name, "task"}) // an anchor may be of one of them
		must.NoError(t, pots.Destroy(t.Context(), "task"))
		must.NoError(t, local.Destroy(t.Context(), pots, name, true, local.StartOptions{}))
	})
	t.Run("an interface without a jail is found", func(t *testing.T) {
		must.NoError(t, h.Links.Attach(t.Context(), pot.Link{
			Pot: "m_link", Address: netip.MustParsePrefix("10.192.0.9/10"), Gateway: pot.DefaultNetwork.Gateway,
		}))
		must.SliceContains(t, leftovers(t), "m_link")
		must.NoError(t, h.Links.Detach(t.Context(), "m_link"))
	})
	must.Eq(t, none, leftovers(t))
}
