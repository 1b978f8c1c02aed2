package local

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/tree"
)

func TestMountIn(t *testing.T) {
	leak.Check(t)
	s, h := newPot(t, "web")
	dir := t.TempDir()
	must.NoError(t, os.Symlink("usr/home", filepath.Join(s.tree(), "home")))
	must.NoError(t, os.WriteFile(filepath.Join(s.dir, conf.FSCompConf), []byte("\n/old "+s.tree()+"/old ro\n"), 0o644))

	t.Run("lines of older pots are rewritten, and empty lines are removed", func(t *testing.T) {
		must.NoError(t, s.Apply(t.Context(), MountIn{Dir: dir + "/", Target: "/mnt/a/", ReadOnly: true, Remount: false}))
		must.NoError(t, s.Apply(t.Context(), MountIn{Dataset: "tank/pot/fscomp/x", Target: "/x", Remount: true}))
		must.NoError(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/mnt/a/b"}))
		must.Eq(t, "/old /old ro\n"+dir+" /mnt/a ro\ntank/pot/fscomp/x /x zfs-remount\n"+dir+" /mnt/a/b\n", s.file(t, conf.FSCompConf))
		must.DirExists(t, filepath.Join(s.tree(), "mnt/a"))
		_, err := os.Stat(filepath.Join(s.tree(), "mnt/a/b")) // it will be in the directory that is mounted
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a mount point is used once", func(t *testing.T) {
		must.ErrorIs(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/mnt/../mnt/a"}), fs.ErrExist)
		must.ErrorIs(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/old"}), fs.ErrExist)
	})
	t.Run("a symbolic link in the pot is not followed", func(t *testing.T) {
		must.EqError(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/home/x"}), "-m: /home is a symbolic link to usr/home; name the directory itself")
	})
	t.Run("a pot is not mounted in itself", func(t *testing.T) {
		for _, dir := range []string{s.tree(), filepath.Dir(s.dir)} {
			must.ErrorContains(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/y"}), "must not contain the pot, nor be in it")
		}
	})
	t.Run("a file is not copied to a mount point", func(t *testing.T) {
		must.EqError(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: dir, Target: "/old/x"}}), "/old/x is in /old, where /old is mounted when the pot runs")
	})
	t.Run("MountOut removes a mount by its mount point", func(t *testing.T) {
		for _, target := range []string{"/old", "/mnt/a", "/x/"} {
			must.NoError(t, s.Apply(t.Context(), MountOut{target}))
		}
		must.Eq(t, dir+" /mnt/a/b\n", s.file(t, conf.FSCompConf))
	})
	t.Run("a pot that runs is refused", func(t *testing.T) {
		h.running["web"] = true
		must.ErrorIs(t, s.Apply(t.Context(), MountIn{Dir: dir, Target: "/z"}), ErrRunning)
		must.ErrorIs(t, s.Apply(t.Context(), MountOut{"/mnt/a/b"}), ErrRunning)
		must.ErrorIs(t, s.Apply(t.Context(), SetAttribute{"no-tmpfs", "YES"}), ErrRunning)
	})
	t.Run("a malformed line is an error and stays", func(t *testing.T) {
		h.running["web"] = false
		must.NoError(t, os.WriteFile(filepath.Join(s.dir, conf.FSCompConf), []byte("/a /b\n/ \n"), 0o644))
		must.EqError(t, s.Apply(t.Context(), MountOut{"/b"}), `fscomp.conf:2: must be SOURCE MOUNTPOINT [OPTION], not "/ \n"`)
		must.Eq(t, "/a /b\n/ \n", s.file(t, conf.FSCompConf))
	})
}

func TestMakeTarget_umask(t *testing.T) {
	leak.Check(t)
	defer syscall.Umask(syscall.Umask(0o077))
	tree := t.TempDir()
	must.NoError(t, makeTarget(tree, "/a/b", nil))
	for _, at := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(tree, at))
		must.NoError(t, err)
		must.Eq(t, fs.FileMode(0o755), info.Mode().Perm())
	}
}
