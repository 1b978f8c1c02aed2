package hosttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

// testMounts checks pot.Mounts. What may go wrong between a path and its mount has files of
// its own: linked.go, nested.go and swap.go.
func testMounts(t *testing.T, bed Bed) {
	h := bed.Host
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "web"})
	must.NoError(t, err)
	root := filepath.Join(dir, "m")
	source := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(source, "f"), []byte("from the host"), 0o644))
	mount := func(m pot.Mount) error { return h.Mounts.Mount(t.Context(), root, m) }

	// Images have no directories for what a job mounts.
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
	// The driver mounts a task's allocation directory so, with its logs read-only. On
	// FreeBSD it would be a nullfs over itself, which the kernel refuses.
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
	// A job mounts a template's file over the image's own. FreeBSD can since 14.0.
	t.Run("a file is mounted on a file", func(t *testing.T) {
		must.NoError(t, mount(pot.Mount{Source: filepath.Join(source, "f"), Target: "/etc/one"}))
		must.FileContains(t, filepath.Join(root, "etc/one"), "from the host")
	})
	t.Run("a missing source is an error that names it", func(t *testing.T) {
		err := mount(pot.Mount{Source: filepath.Join(source, "nosuch"), Target: "/x"})
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.ErrorContains(t, err, "nosuch")
	})
	t.Run("links of the image are followed within it", func(t *testing.T) { testLinkedTargets(t, root, source, mount) })
	// The driver checks a source against its allowed paths before: the mount must be of the
	// path that was checked.
	t.Run("a resolved source that has become a link is not followed", func(t *testing.T) {
		testSwappedSource(t, func(source, target string) error {
			return mount(pot.Mount{Source: source, Target: target, Resolved: true})
		}, root)
	})
	t.Run("mounts within mounts do not affect each other", func(t *testing.T) { testMountsWithin(t, bed) })
	// pot removes a pot's directory with rm -rf, and with it the files of the host that are
	// still mounted there.
	t.Run("a clone with something mounted in it is not destroyed", func(t *testing.T) {
		must.Error(t, h.Datasets.Destroy(t.Context(), "web"))
		must.FileExists(t, filepath.Join(source, "f"))
	})
	// After a crash the second process does not know what the first has unmounted.
	t.Run("all are unmounted, twice", func(t *testing.T) {
		must.NoError(t, h.Mounts.UnmountAll(t.Context(), root))
		must.NoError(t, h.Mounts.UnmountAll(t.Context(), root))
		must.FileNotExists(t, filepath.Join(root, "ro/f"))
		must.FileExists(t, filepath.Join(root, "bin/hello"))
	})
	must.NoError(t, h.Datasets.Destroy(t.Context(), "web"))
	must.FileExists(t, filepath.Join(source, "f"))
}
