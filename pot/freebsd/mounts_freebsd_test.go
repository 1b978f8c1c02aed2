package freebsd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/run"
)

// TestMounts is what hosttest cannot see: flags of mounts, and what the mount table has.
func TestMounts(t *testing.T) {
	leak.Check(t)
	open := scratch(t, run.Host{})
	h := open(hosttest.Build(t, supervisor))
	must.NoError(t, h.Images.Receive(t.Context(), "hello", hello()))
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "hello", Name: "web"})
	must.NoError(t, err)
	root := filepath.Join(dir, "m")
	volume, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	_, err = run.Host{}.Run(t.Context(), nil, "mount", "-t", "tmpfs", "-o", "nosuid,noexec", "tmpfs", volume)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, unix.Unmount(volume, unix.MNT_FORCE)) })
	t.Cleanup(func() { must.NoError(t, h.Images.Destroy(context.Background(), "hello")) })
	must.NoError(t, os.Mkdir(filepath.Join(volume, "sub"), 0o755))
	for _, file := range []string{"keys", "sub/f", "g"} {
		must.NoError(t, os.WriteFile(filepath.Join(volume, file), []byte(file), 0o644))
	}
	mount := func(source, target string, readOnly bool) {
		t.Helper()
		must.NoError(t, h.Mounts.Mount(t.Context(), root, pot.Mount{Source: filepath.Join(volume, source), Target: target, ReadOnly: readOnly, Resolved: true}))
	}
	mount("", "/d", true)
	mount("g", "/d/sub/f", false) // on a file, from within the tree
	mount("sub", "/e", false)

	seen := func() map[string]freebsd.MountPoint {
		table, err := freebsd.Native{}.Mounts()
		must.NoError(t, err)
		all := map[string]freebsd.MountPoint{}
		for _, p := range table {
			all[p.On] = p
		}
		return all
	}
	for on, want := range map[string]freebsd.MountPoint{
		"/d":       {From: volume, Options: []string{"ro", "nosuid", "noexec"}},
		"/d/sub/f": {From: filepath.Join(volume, "g"), Options: []string{"nosuid", "noexec"}},
		"/e":       {From: filepath.Join(volume, "sub"), Options: []string{"nosuid", "noexec"}},
	} {
		got := seen()[root+on]
		must.Eq(t, want.From, got.From, must.Sprint(on))
		must.Eq(t, want.Options, got.Options, must.Sprint(on))
	}
	must.ErrorIs(t, os.WriteFile(filepath.Join(root, "d/keys"), nil, 0o644), unix.EROFS)
	must.NoError(t, os.WriteFile(filepath.Join(root, "d/sub/f"), []byte("written"), 0o644))
	must.FileContains(t, filepath.Join(volume, "g"), "written")

	for range 2 {
		must.NoError(t, h.Mounts.UnmountAll(t.Context(), root))
	}
	must.MapNotContainsKeys(t, seen(), []string{root + "/d", root + "/d/sub/f", root + "/e"})
	must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", dir, err)
	}
}
