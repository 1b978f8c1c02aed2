package hosttest

import (
	"context"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
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

func testImages(t *testing.T, bed Bed) {
	h := bed.Host.Images
	t.Run("an image is not received over another", func(t *testing.T) {
		must.ErrorIs(t, h.Receive(t.Context(), image, bed.Stream()), fs.ErrExist)
	})
	t.Run("data that is not a stream leaves nothing behind", func(t *testing.T) {
		must.Error(t, h.Receive(t.Context(), "garbage", strings.NewReader(strings.Repeat("garbage", 1000))))
		names, err := h.List(t.Context(), "garbage")
		must.NoError(t, err)
		must.SliceEmpty(t, names)
	})
	t.Run("an image is renamed with its labels", func(t *testing.T) {
		want := map[string]string{"nomad.pot:ref": "r", "nomad.pot:digest": "d"}
		must.NoError(t, h.Receive(t.Context(), "_import", bed.Stream()))
		must.NoError(t, h.SetLabels(t.Context(), "_import", want))
		must.ErrorIs(t, h.Rename(t.Context(), "_import", image), fs.ErrExist)
		must.NoError(t, h.Rename(t.Context(), "_import", "other"))
		got, err := h.Labels(t.Context(), "other")
		must.NoError(t, err)
		must.Eq(t, want, got)
		for range 2 { // the second time there is no such label to remove
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
	t.Run("all datasets with a label are found", func(t *testing.T) {
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
	t.Run("a name that is a path is refused", func(t *testing.T) {
		for _, name := range []string{"", ".", "..", "a/b", "../x", "/x"} {
			_, err := h.GUIDs(t.Context(), name)
			must.Error(t, err)
			must.Error(t, h.Receive(t.Context(), name, bed.Stream()))
			must.Error(t, h.Destroy(t.Context(), name))
		}
	})
}

func testDatasets(t *testing.T, bed Bed) {
	h := bed.Host
	labels := map[string]string{"nomad.pot:alloc": "a"}
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "web", Labels: labels})
	must.NoError(t, err)
	t.Run("a clone is not made over another", func(t *testing.T) {
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "web"})
		must.ErrorIs(t, err, fs.ErrExist)
	})
	t.Run("a clone of a missing image is refused", func(t *testing.T) {
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "nosuch", Name: "web2"})
		must.ErrorIs(t, err, fs.ErrNotExist)
		_, err = h.Datasets.Dir(t.Context(), "web2")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a file that is written to a clone is not in the image", func(t *testing.T) {
		must.FileExists(t, filepath.Join(dir, "m/bin/hello"))
		must.NoError(t, os.WriteFile(filepath.Join(dir, "m/etc/new"), nil, 0o644))
		of, err := h.Datasets.Dir(t.Context(), image)
		must.NoError(t, err)
		must.FileNotExists(t, filepath.Join(of, "m/etc/new"))
	})
	t.Run("an image that a clone needs is not destroyed", func(t *testing.T) {
		must.ErrorContains(t, h.Images.Destroy(t.Context(), image), "dependent clones")
	})
	t.Run("an image with a clone is not idle, nor is an image without the label", func(t *testing.T) {
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
	t.Run("labels stay with a clone", func(t *testing.T) {
		got, err := h.Images.Labels(t.Context(), "web")
		must.NoError(t, err)
		must.Eq(t, labels, got)
	})
	t.Run("a clone can be destroyed twice", func(t *testing.T) {
		must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
		must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
	})
}

func testMounts(t *testing.T, bed Bed) {
	h := bed.Host
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "web"})
	must.NoError(t, err)
	root := filepath.Join(dir, "m")
	source := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(source, "f"), []byte("from the host"), 0o644))
	mount := func(m pot.Mount) error { return h.Mounts.Mount(t.Context(), root, m) }

	t.Run("a directory is mounted, and its target created", func(t *testing.T) {
		must.NoError(t, mount(pot.Mount{Source: source, Target: "/data/deep"}))
		must.FileContains(t, filepath.Join(root, "data/deep/f"), "from the host")
		must.NoError(t, os.WriteFile(filepath.Join(root, "data/deep/g"), nil, 0o644))
		must.FileExists(t, filepath.Join(source, "g"))
	})
	t.Run("a read-only mount cannot be written to", func(t *testing.T) {
		must.NoError(t, mount(pot.Mount{Source: source, Target: "/ro", ReadOnly: true}))
		must.ErrorIs(t, os.WriteFile(filepath.Join(root, "ro/h"), nil, 0o644), syscall.EROFS)
	})
	t.Run("a part of a mounted directory is mounted over itself, read-only", func(t *testing.T) {
		must.NoError(t, os.Mkdir(filepath.Join(source, "logs"), 0o755))
		must.NoError(t, os.Mkdir(filepath.Join(source, "shared"), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(source, "logs/l"), []byte("a line"), 0o644))
		must.NoError(t, mount(pot.Mount{Source: source, Target: "/alloc"}))
		must.NoError(t, mount(pot.Mount{Source: filepath.Join(source, "logs"), Target: "/alloc/logs", ReadOnly: true}))
		must.FileContains(t, filepath.Join(root, "alloc/logs/l"), "a line")
		must.ErrorIs(t, os.WriteFile(filepath.Join(root, "alloc/logs/m"), nil, 0o644), syscall.EROFS)
		must.NoError(t, os.WriteFile(filepath.Join(root, "alloc/shared/m"), nil, 0o644))
		must.FileExists(t, filepath.Join(source, "shared/m"))
	})
	t.Run("a file is mounted on a file", func(t *testing.T) {
		must.NoError(t, mount(pot.Mount{Source: filepath.Join(source, "f"), Target: "/etc/one"}))
		must.FileContains(t, filepath.Join(root, "etc/one"), "from the host")
	})
	t.Run("a missing source is refused by name", func(t *testing.T) {
		err := mount(pot.Mount{Source: filepath.Join(source, "nosuch"), Target: "/x"})
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.ErrorContains(t, err, "nosuch")
	})
	t.Run("links of the image are followed within it", func(t *testing.T) { testLinkedTargets(t, root, source, mount) })
	t.Run("a source that has become a link is not followed", func(t *testing.T) {
		testSwappedSource(t, func(source, target string) error {
			return mount(pot.Mount{Source: source, Target: target, Resolved: true})
		}, root)
	})
	t.Run("mounts can be within mounts", func(t *testing.T) { testMountsWithin(t, bed) })
	t.Run("a clone with a mount in it is not destroyed", func(t *testing.T) {
		must.Error(t, h.Datasets.Destroy(t.Context(), "web"))
		must.FileExists(t, filepath.Join(source, "f"))
	})
	t.Run("all mounts can be unmounted twice", func(t *testing.T) {
		must.NoError(t, h.Mounts.UnmountAll(t.Context(), root))
		must.NoError(t, h.Mounts.UnmountAll(t.Context(), root))
		must.FileNotExists(t, filepath.Join(root, "ro/f"))
		must.FileExists(t, filepath.Join(root, "bin/hello"))
	})
	must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
	must.FileExists(t, filepath.Join(source, "f"))
}

func testLinks(t *testing.T, bed Bed) {
	h := bed.Host.Links
	link := func(name pot.Name, addr string) pot.Link {
		return pot.Link{Pot: name, Address: netip.MustParsePrefix(addr), Gateway: pot.DefaultNetwork.Gateway}
	}
	must.NoError(t, h.Attach(t.Context(), link("a", "10.192.0.9/10")))
	must.NoError(t, h.Attach(t.Context(), link("b", "10.192.0.10/10")))
	t.Run("a pot has one link", func(t *testing.T) {
		must.ErrorIs(t, h.Attach(t.Context(), link("a", "10.192.0.11/10")), fs.ErrExist)
	})
	t.Run("a link can be detached twice", func(t *testing.T) {
		must.NoError(t, h.Detach(t.Context(), "a"))
		must.NoError(t, h.Detach(t.Context(), "a"))
		must.NoError(t, h.Detach(t.Context(), "b"))
	})
}

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
	go func() { // a jail exists until its processes are reaped
		state, _ := running.Wait()
		ended <- state
	}()
	t.Run("a command that is not in the jail does not exist", func(t *testing.T) {
		p := &supervise.Process{Jail: found, Argv: []string{"/bin/nosuch"}, Stdin: null, Stdout: null, Stderr: null, Supervisor: bed.Supervisor}
		_, err := p.Start()
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a jail with a process can be removed twice", func(t *testing.T) {
		begun := time.Now()
		must.NoError(t, h.Jails.Remove(t.Context(), "web"))
		must.NoError(t, h.Jails.Remove(t.Context(), "web"))
		must.Eq(t, int(syscall.SIGKILL), supervise.ExitOf(<-ended).Signal)
		must.Less(t, 5*time.Second, time.Since(begun))
		_, err = h.Jails.Find(t.Context(), "web")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a jail that cannot be created leaves nothing behind", func(t *testing.T) {
		bad := jail
		bad.Name, bad.Root = "bad", filepath.Join(dir, "nosuch")
		must.Error(t, h.Jails.Create(t.Context(), bad))
		_, err = h.Jails.Find(t.Context(), "bad")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	must.NoError(t, h.Mounts.UnmountAll(t.Context(), jail.Root))
	must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
}

func testLimits(t *testing.T, bed Bed) {
	for _, f := range bed.Host.Check(t.Context()) {
		if f.Key == "limits" {
			need.Have(t, "limits", f.Severity == pot.Info)
		}
	}
	t.Run("a command above its memory limit is killed for want of memory", func(t *testing.T) {
		s := spec("eater", "eat", "256")
		s.Limits = pot.Limits{MemoryBytes: 32 << 20}
		end := start(t, bed, s).wait(t)
		must.Eq(t, 128+int(syscall.SIGKILL), end.Code)
		must.True(t, end.OutOfMemory)
	})
	t.Run("a command that is killed by itself is not killed for want of memory", func(t *testing.T) {
		s := spec("killed", "kill", "9")
		s.Limits = pot.Limits{MemoryBytes: 64 << 20}
		end := start(t, bed, s).wait(t)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
		must.False(t, end.OutOfMemory)
	})
	t.Run("a command that Stop kills is not killed for want of memory, although another was", func(t *testing.T) {
		s := spec("deaf", "signals")
		s.Limits = pot.Limits{MemoryBytes: 64 << 20}
		tk := start(t, bed, s)
		tk.says(t, "ready")
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"/bin/hello", "eat", "256"}})
		must.NoError(t, err)
		must.Eq(t, int(syscall.SIGKILL), exit.Signal)
		// rctl(8) kills any process of the jail that it checks while too much is in use, so
		// maybe this one too.
		alive := tk.Signal(0) == nil
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, 100*time.Millisecond))
		end := tk.wait(t)
		must.Eq(t, int(syscall.SIGKILL), end.Signal)
		must.Eq(t, !alive, end.OutOfMemory)
		if !alive {
			must.Eq(t, "freebsd", runtime.GOOS, must.Sprint("a control group kills the process that allocates"))
		}
	})
	t.Run("a weight out of the host's range is accepted", func(t *testing.T) {
		for name, weight := range map[pot.Name]int64{"light": 1, "heavy": 1 << 20} {
			s := spec(name, "exit", "0")
			s.Limits = pot.Limits{CPUShares: weight}
			must.Eq(t, 0, start(t, bed, s).wait(t).Code)
		}
	})
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
		must.Less(t, elapsed*3/4+bed.Tick, used, must.Sprintf("the limit was half a core for %s", elapsed))
		must.Positive(t, u.MemoryBytes)
		must.Eq(t, 1, u.Procs)
	})
	t.Run("a missing jail has no usage", func(t *testing.T) {
		_, err := bed.Host.Limits.Usage(t.Context(), "nosuch")
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.NoError(t, bed.Host.Limits.Clear(t.Context(), "nosuch"))
	})
}

// testLeftovers checks that all that is left of a pot is found by its name and labels.
func testLeftovers(t *testing.T, bed Bed) {
	h := bed.Host
	leftovers := func(t *testing.T) []pot.Name {
		all, err := h.Leftovers(t.Context(), nil)
		must.NoError(t, err)
		return all
	}
	none := leftovers(t)
	t.Run("a dataset of a task is found, and an image is not", func(t *testing.T) {
		must.NoError(t, h.Images.SetLabels(t.Context(), image, map[string]string{"nomad.pot:ref": "r"}))
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "m_data", Labels: map[string]string{conf.LabelTask: "m"}})
		must.NoError(t, err)
		must.SliceContains(t, leftovers(t), "m_data")
		must.NoError(t, h.Datasets.Destroy(t.Context(), "m_data"))
	})
	t.Run("a pot that was started by hand is not found, even if it is named like a task's", func(t *testing.T) {
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
		must.SliceContainsAll(t, told, []pot.Name{name, "task"}) // an anchor may belong to any of them
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
