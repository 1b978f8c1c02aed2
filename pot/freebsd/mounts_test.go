package freebsd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/tree"
)

// mountBed is a machine with a pot's tree, and directories of the host.
type mountBed struct {
	*model
	mounts
	root string // of the pot's tree
	host string // a directory that others can write to
}

func newMountBed(t *testing.T) *mountBed {
	m := newModel(t)
	h, _ := m.host(t)
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "web_1_0", Name: "web"})
	must.NoError(t, err)
	host := t.TempDir()
	for _, file := range []string{"data/keys", "data/sub/f", "data/sub/deep/g", "etc/secret", "etc/f", "etc/deep/g", "more/m"} {
		must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(host, file)), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(host, file), []byte(file), 0o644))
	}
	return &mountBed{model: m, mounts: mounts{runner: m, kernel: m, supervisor: os.Args[0]}, root: dir + "/m", host: host}
}

// mount mounts a directory or a file of bed.host.
func (b *mountBed) mount(t *testing.T, source, target string, readOnly bool) error {
	return b.mounts.Mount(t.Context(), b.root, pot.Mount{
		Source: filepath.Join(b.host, source), Target: target, ReadOnly: readOnly, Resolved: true,
	})
}

// swapOnce puts a link to another file in the place of one, when something is mounted
// the next time from a path that ends in suffix.
func (b *mountBed) swapOnce(suffix, name, to string) {
	b.mounting = func(p MountPoint) {
		if !strings.HasSuffix(p.From, suffix) {
			return
		}
		b.mounting = nil
		must0(os.Rename(filepath.Join(b.host, name), filepath.Join(b.host, name+".was")))
		must0(os.Symlink(filepath.Join(b.host, to), filepath.Join(b.host, name)))
	}
}

// table is the mounts outside of datasets.
func (b *mountBed) table() (all []string) {
	for _, p := range b.model.mounts {
		if p.Type != "zfs" {
			all = append(all, strings.Join(append([]string{p.From, p.On}, p.Options...), " "))
		}
	}
	return all
}

// see is hosttest.See.
func (b *mountBed) see(path string) (string, bool, error) {
	at, err := b.namei("/", "/", b.root+path)
	if err != nil {
		return "", false, err
	}
	text, err := os.ReadFile(b.lower(at))
	return string(text), !slices.Contains(b.over(at).Options, "ro"), err
}

// Mounts within one another, and which of them can be written to.
func TestMount_nested(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	before := b.state()
	hosttest.Nested(t,
		func(t *testing.T, m pot.Mount) { must.NoError(t, b.mounts.Mount(t.Context(), b.root, m)) },
		b.see,
		func(t *testing.T) {
			for range 2 {
				must.NoError(t, b.UnmountAll(t.Context(), b.root))
			}
			must.SliceEmpty(t, b.table())
			must.DirNotExists(t, filepath.Join(filepath.Dir(b.root), overlayDirs))
		})
	for _, made := range []string{"d", "e", "x", "a", "b"} {
		must.NoError(t, os.RemoveAll(filepath.Join(b.root, made)))
	}
	must.Eq(t, before, b.state())
}

// Each call of a mount that is split fails once: the pieces that are there are unmounted
// with the pot.
func TestMount_nestedFaults(t *testing.T) {
	leak.Check(t)
	for n := 1; ; n++ {
		b := newMountBed(t)
		b.failAt = len(b.commands) + n
		mount := func() error {
			return errors.Join(b.mount(t, "data", "/d", true), b.mount(t, "more", "/d/more", false), b.mount(t, "data/sub/deep", "/d/sub/deep", false))
		}
		err := mount()
		if len(b.commands) < b.failAt {
			must.NoError(t, err)
			must.Greater(t, 12, n)
			return
		}
		must.ErrorContains(t, err, "injected")
		b.failAt = 0
		must.NoError(t, b.UnmountAll(t.Context(), b.root))
		must.SliceEmpty(t, b.table())
		must.DirNotExists(t, filepath.Join(filepath.Dir(b.root), overlayDirs))
	}
}

// Another task swaps something for a link between our look and nmount(2): nothing of the
// host is covered or shown, and nothing is left.
func TestMount_swapped(t *testing.T) {
	leak.Check(t)
	for _, tc := range []struct {
		name                   string
		source, target         string
		suffix, swapped, leads string
	}{
		{"a target's directory", "more", "/d/sub/deep", "more", "data/sub", "etc"},
		{"a target", "more", "/d/sub", "more", "data/sub", "etc"},
		{"a target, for a link into the pot", "more", "/d/sub", "more", "data/sub", "data"},
		{"a target that is a file", "more/m", "/d/keys", "more/m", "data/keys", "etc/secret"},
		{"a target's file, deeper", "more/m", "/d/sub/f", "more/m", "data/sub/f", "etc/secret"},
		{"a source", "data/sub", "/s", "data/sub", "data/sub", "etc"},
		{"a source that is a file", "data/sub/f", "/s", "data/sub/f", "data/sub/f", "etc/secret"},
		{"a source's directory", "data/sub/f", "/s", "data/sub/f", "data/sub", "etc"},
		{"a piece of what is split", "data/sub/deep", "/d/sub/deep", "data/keys", "data/keys", "etc/secret"},
		{"the part for which it is split", "data/sub/deep", "/d/sub/deep", "data/sub/deep", "data/sub/deep", "etc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newMountBed(t)
			must.NoError(t, b.mount(t, "data", "/d", false))
			b.swapOnce(tc.suffix, tc.swapped, tc.leads)
			must.Error(t, b.mount(t, tc.source, tc.target, true))
			must.Nil(t, b.mounting) // it came to the swap
			for _, p := range b.landed {
				must.StrHasPrefix(t, b.root+"/", p.On)
			}
			for _, p := range b.model.mounts {
				must.False(t, strings.HasPrefix(b.lowers[p.ID], b.host+"/etc"), must.Sprint("shows the host: ", p))
			}
			must.NoError(t, b.UnmountAll(t.Context(), b.root))
			must.SliceEmpty(t, b.table())
		})
	}
}

// Even a mount point in the pot's own tree, where nobody else writes, is not taken for
// granted: what has landed elsewhere is unmounted, and nothing else.
func TestMount_swappedOwn(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, b.model.Mount(MountPoint{Type: "nullfs", From: b.host + "/more", On: b.host + "/data"})) // the operator's
	other := filepath.Join(filepath.Dir(filepath.Dir(b.root)), "web_1_0/m/tmp")
	before := b.table()
	b.mounting = func(p MountPoint) {
		b.mounting = nil
		must0(os.Remove(b.root + "/x"))
		must0(os.Symlink(b.host+"/etc", b.root+"/x"))
		must0(b.model.nmount("/", MountPoint{Type: "nullfs", From: b.host + "/more", On: other}, nil)) // of another pot, at the same time
	}
	must.ErrorIs(t, b.mount(t, "more", "/x", true), tree.ErrLink)
	must.Eq(t, append(before, b.host+"/more "+other), b.table())
}

// A mount is undone by its ID, and no other that is from the same source.
func TestMount_swappedOthers(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, b.mount(t, "data", "/d", false))
	must.NoError(t, b.mount(t, "more", "/more", false))
	must.NoError(t, b.model.Mount(MountPoint{Type: "nullfs", From: b.host + "/more", On: b.host + "/etc"})) // the operator's
	before := b.table()
	b.swapOnce("more", "data/sub", "data")
	must.Error(t, b.mount(t, "more", "/d/sub/deep", true))
	must.Eq(t, before, b.table())
}

// What the operator has forbidden for a source's file system is forbidden in the pot.
func TestMount_flags(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, b.model.Mount(MountPoint{Type: "nullfs", From: b.host + "/etc", On: b.host + "/more"}, "nosuid", "noexec"))
	must.NoError(t, b.mount(t, "more", "/rw", false))
	must.NoError(t, b.mount(t, "more", "/ro", true))
	must.Eq(t, []string{
		b.host + "/more " + b.root + "/rw nosuid noexec",
		b.host + "/more " + b.root + "/ro nosuid noexec ro",
	}, b.table()[1:])
}

// What is seen by way of another nullfs of the host is not mounted over itself: the
// kernel would not come back. A clone's file of the same number is another file.
func TestMount_layers(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, b.model.Mount(MountPoint{Type: "nullfs", From: b.host + "/data", On: b.host + "/more"}))
	must.NoError(t, b.mount(t, "more", "/d", true))
	must.ErrorIs(t, b.mount(t, "data/sub", "/d/sub", false), errSeen)
	must.ErrorIs(t, b.mount(t, "data/keys", "/d/keys", false), errSeen)
	must.NoError(t, b.mount(t, "more/sub", "/d/sub", false))
	must.NoError(t, b.mount(t, "data", "/e", true))
	must.ErrorIs(t, b.mount(t, "more/sub", "/e/sub", false), errSeen)
	must.NoError(t, b.UnmountAll(t.Context(), b.root))

	must.NoError(t, os.RemoveAll(b.host+"/etc"))
	must.NoError(t, os.Mkdir(b.host+"/etc", 0o755))
	must.NoError(t, os.Link(b.host+"/data/keys", b.host+"/etc/keys"))
	must.NoError(t, b.mount(t, "etc", "/f", true))
	f, s, err := b.source(b.host + "/data/keys")
	must.NoError(t, err)
	must.NoError(t, f.Close())
	target, err := b.target(b.root, "/f/keys", false)
	must.NoError(t, err)
	defer target.Close()
	seen, err := b.seen(target, s)
	must.NoError(t, err)
	must.False(t, seen)
}

// An operator's path may have links: the mount is of what they lead to.
func TestMount_linkedSource(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, os.Symlink(b.host+"/data", b.host+"/volume"))
	must.NoError(t, b.mounts.Mount(t.Context(), b.root, pot.Mount{Source: b.host + "/volume", Target: "/d", ReadOnly: true}))
	must.NoError(t, b.mount(t, "data/sub", "/d/sub", false))
	for path, want := range map[string]bool{"/d/keys": false, "/d/sub/f": true} {
		_, writable, err := b.see(path)
		must.NoError(t, err)
		must.Eq(t, want, writable, must.Sprint(path))
	}
	must.ErrorIs(t, b.mount(t, "volume", "/e", true), tree.ErrLink)
}

// A directory that is split has its links still, its mode, and no more entries than can
// be mounted one by one.
func TestMount_split(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, os.Symlink("sub/f", b.host+"/data/link"))
	must.NoError(t, syscall.Mkfifo(b.host+"/data/fifo", 0o600))
	must.NoError(t, os.Chmod(b.host+"/data", 0o700))
	must.NoError(t, b.mount(t, "data", "/d", false))
	must.NoError(t, b.mount(t, "data/sub", "/d/sub", true))
	text, writable, err := b.see("/d/link")
	must.NoError(t, err)
	must.Eq(t, "data/sub/f", text)
	must.False(t, writable)
	info, err := os.Stat(b.lower(b.root + "/d"))
	must.NoError(t, err)
	must.Eq(t, 0o700, info.Mode().Perm())
	_, _, err = b.see("/d/fifo")
	must.ErrorIs(t, err, fs.ErrNotExist)

	must.NoError(t, os.Mkdir(b.host+"/many", 0o755))
	for range maxPieces + 1 {
		f, err := os.CreateTemp(b.host+"/many", "")
		must.NoError(t, err)
		must.NoError(t, f.Close())
	}
	must.NoError(t, os.Mkdir(b.host+"/many/x", 0o755))
	must.NoError(t, b.mount(t, "many", "/many", false))
	must.ErrorContains(t, b.mount(t, "many/x", "/many/x", true), "has 1026 entries, and more than 1024 cannot be mounted one by one")
}

// A dataset that came from an image may have a link where skeletons are made.
func TestMount_linkedSkeletons(t *testing.T) {
	leak.Check(t)
	b := newMountBed(t)
	must.NoError(t, os.Symlink(b.host, filepath.Join(filepath.Dir(b.root), overlayDirs)))
	must.NoError(t, b.mount(t, "data", "/d", false))
	must.Error(t, b.mount(t, "data/sub", "/d/sub", true))
	must.NoError(t, b.UnmountAll(t.Context(), b.root))
	must.FileExists(t, b.host+"/data/keys")
	must.DirNotExists(t, b.host+"/d")
}
