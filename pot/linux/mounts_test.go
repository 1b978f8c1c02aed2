//go:build linux

package linux

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/tree"
)

// volume mounts a tmpfs on a new directory until the test ends.
func volume(t *testing.T, flags uintptr) string {
	dir := t.TempDir()
	must.NoError(t, unix.Mount("volume", dir, "tmpfs", flags, ""))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(dir, 0)) })
	return dir
}

// treeRoot returns an empty tree for mounts, which are unmounted with the test.
func treeRoot(t *testing.T) string {
	root := t.TempDir()
	t.Cleanup(func() { must.NoError(t, mounts{}.UnmountAll(context.Background(), root)) })
	return root
}

// optionsOf returns the options of the mount on a path.
func optionsOf(t *testing.T, on string) []string {
	found, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(on))
	must.NoError(t, err)
	must.SliceLen(t, 1, found)
	return strings.Split(found[0].Options, ",")
}

// Restrictions of a volume's mount on the host hold in the pot.
func TestMount_flags(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	const noatime = unix.MS_NOATIME
	source := volume(t, unix.MS_NOSUID|unix.MS_NOEXEC|noatime)
	root := treeRoot(t)
	must.NoError(t, mounts{}.Mount(t.Context(), root, pot.Mount{Source: source, Target: "/rw"}))
	must.NoError(t, mounts{}.Mount(t.Context(), root, pot.Mount{Source: source, Target: "/ro", ReadOnly: true}))
	for target, mode := range map[string]string{"/rw": "rw", "/ro": "ro"} {
		options := optionsOf(t, root+target)
		for _, want := range []string{mode, "nosuid", "nodev", "noexec", "noatime"} {
			must.SliceContains(t, options, want, must.Sprint(target))
		}
	}
	// A file system that is read-only for this mount alone is still written to elsewhere.
	must.NoError(t, unix.Mount("", source, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	must.NoError(t, mounts{}.Mount(t.Context(), root, pot.Mount{Source: source, Target: "/of-ro"}))
	must.ErrorIs(t, os.WriteFile(filepath.Join(root, "of-ro/f"), nil, 0o644), unix.EROFS)
}

// A mount in a pot does not propagate to a host whose mounts are shared.
func TestMount_shared(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	source := volume(t, 0)
	must.NoError(t, unix.Mount("", source, "", unix.MS_SHARED, ""))
	must.NoError(t, os.MkdirAll(filepath.Join(source, "sub"), 0o755))
	root := treeRoot(t)
	must.NoError(t, mounts{}.Mount(t.Context(), root, pot.Mount{Source: source, Target: "/d"}))
	must.NoError(t, mounts{}.Mount(t.Context(), root, pot.Mount{Source: filepath.Join(source, "sub"), Target: "/d/sub", ReadOnly: true}))
	onHost, err := mountinfo.GetMounts(mountinfo.PrefixFilter(source))
	must.NoError(t, err)
	must.SliceLen(t, 1, onHost)
	must.NoError(t, os.WriteFile(filepath.Join(source, "sub/f"), nil, 0o644))
	must.ErrorIs(t, os.WriteFile(filepath.Join(root, "d/sub/f"), nil, 0o644), unix.EROFS)
	// Nor does the pot see what the host mounts there later.
	must.NoError(t, os.Mkdir(filepath.Join(source, "later"), 0o755))
	must.NoError(t, unix.Mount("later", filepath.Join(source, "later"), "tmpfs", 0, ""))
	must.NoError(t, os.WriteFile(filepath.Join(source, "later/f"), nil, 0o644))
	must.FileNotExists(t, filepath.Join(root, "d/later/f"))
	must.NoError(t, unix.Unmount(filepath.Join(source, "later"), 0))
}

// Destroying a pot unmounts nothing of the host, even if a task replaced a directory that
// has a mount in it with a link.
func TestUnmountAll_link(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	host, source := volume(t, 0), t.TempDir()
	must.NoError(t, os.MkdirAll(filepath.Join(source, "dir"), 0o755))
	root := treeRoot(t)
	must.NoError(t, mounts{}.Mount(t.Context(), root, pot.Mount{Source: source, Target: "/d"}))
	must.NoError(t, os.Symlink(filepath.Dir(host), filepath.Join(source, "link")))
	p := mountPoint{root: root, below: filepath.Join("d/link", filepath.Base(host))}
	must.ErrorIs(t, p.unmount(t.Context(), 0), tree.ErrLink)
	optionsOf(t, host) // is mounted still
}

// The path of the state directory may contain symbolic links.
func TestUnmountAll_linkedRoot(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	root := treeRoot(t)
	link := filepath.Join(t.TempDir(), "link")
	must.NoError(t, os.Symlink(root, link))
	must.NoError(t, mounts{}.Mount(t.Context(), link, pot.Mount{Source: t.TempDir(), Target: "/d"}))
	must.NoError(t, mounts{}.UnmountAll(t.Context(), link))
	left, err := mountsBelow(root)
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}
