package freebsd

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// The model mounts as FreeBSD 14.2 does: model.nmount names the sources.
func TestModel_nmount(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	h := b.host
	must.NoError(t, os.Symlink(h+"/etc", h+"/link"))
	must.NoError(t, os.Symlink("../..", h+"/data/up"))
	must.NoError(t, os.Symlink("loop", h+"/loop"))
	must.NoError(t, os.Link(h+"/etc/f", h+"/etc/f2"))
	nullfs := func(from, on string) MountPoint { return MountPoint{Type: "nullfs", From: h + from, On: h + on} }
	newest := func() MountPoint { return b.model.mounts[len(b.model.mounts)-1] }

	t.Run("links are followed on both paths, and the mount has the path of what was found", func(t *testing.T) {
		must.NoError(t, b.model.Mount(nullfs("/link/deep", "/link"), "ro"))
		must.Eq(t, h+"/etc", newest().On)
		must.Eq(t, h+"/link/deep", newest().From) // f_mntfromname: as it was asked for
		must.Eq(t, h+"/etc/deep", b.lowers[newest().ID])
		must.Eq(t, []string{"ro"}, newest().Options)
		must.NoError(t, b.model.Unmount(newest()))
	})
	t.Run("a vnode does not cover itself by way of a nullfs", func(t *testing.T) {
		must.NoError(t, b.model.Mount(nullfs("/data", "/more")))
		must.ErrorIs(t, b.model.Mount(nullfs("/data/sub", "/more/sub"), "ro"), syscall.EDEADLK)
		must.NoError(t, b.model.Mount(nullfs("/data/sub", "/more/sub/deep")))
		must.NoError(t, b.model.Unmount(newest()))
		must.NoError(t, b.model.Unmount(newest()))
	})
	t.Run("a file covers a file that has one name and is not covered, a directory a directory", func(t *testing.T) {
		must.ErrorIs(t, b.model.Mount(nullfs("/data", "/etc/secret")), syscall.EINVAL)
		must.ErrorIs(t, b.model.Mount(nullfs("/data/keys", "/etc")), syscall.EINVAL)
		must.ErrorIs(t, b.model.Mount(nullfs("/data/keys", "/etc/f")), syscall.EINVAL)
		must.ErrorIs(t, b.model.Mount(MountPoint{Type: "tmpfs", On: h + "/etc/secret"}), syscall.ENOTDIR)
		must.NoError(t, b.model.Mount(nullfs("/data/keys", "/etc/secret")))
		must.ErrorIs(t, b.model.Mount(nullfs("/more/m", "/etc/secret")), syscall.EBUSY)
		must.NoError(t, b.model.Unmount(newest()))
	})
	t.Run("what is not there, and links without an end", func(t *testing.T) {
		must.ErrorIs(t, b.model.Mount(nullfs("/nosuch", "/etc")), syscall.ENOENT)
		must.ErrorIs(t, b.model.Mount(nullfs("/data", "/nosuch")), syscall.ENOENT)
		must.ErrorIs(t, b.model.Mount(nullfs("/data", "/loop")), syscall.ELOOP)
	})
	t.Run("a process with another root finds no way out of it, but for its working directory", func(t *testing.T) {
		must.NoError(t, os.Symlink(h+"/etc", h+"/data/abs"))
		p := MountPoint{Type: "nullfs", From: "." + h + "/more", On: "/abs"}
		must.ErrorIs(t, b.nmountOf(h+"/data", p), syscall.ENOENT)
		p.On = "/up"
		must.NoError(t, b.nmountOf(h+"/data", p))
		must.Eq(t, h+"/data", newest().On)
		must.Eq(t, h+"/more", newest().From)
		must.NoError(t, b.model.Unmount(newest()))
	})
	t.Run("a process with another root has the path of a file as it sees it", func(t *testing.T) {
		must.NoError(t, b.nmountOf(h, MountPoint{Type: "nullfs", From: "." + h + "/more/m", On: "/data/keys"}))
		must.Eq(t, "/data/keys", newest().On)
		must.NoError(t, b.model.Unmount(newest()))
		must.NoError(t, b.nmountOf(h, MountPoint{Type: "nullfs", From: "." + h + "/more", On: "/data/sub"}))
		must.Eq(t, h+"/data/sub", newest().On)
		must.NoError(t, b.model.Unmount(newest()))
	})
	must.False(t, strings.Contains(b.state(), "nullfs"))
	must.Error(t, b.model.Unmount(nullfs("/data", "/more")))
}

// nmountOf is nmount of a process with another root.
func (b *mountBed) nmountOf(root string, p MountPoint) error { return b.model.nmount(root, p, nil) }
