package hosttest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

// testLinkedTargets mounts on paths with links of the image. A link leads where it leads a
// process in the pot, and nothing is created or mounted outside the tree. Trees of FreeBSD
// have such links, as /home to usr/home. Followed on the host's own paths, as pot did, an
// absolute link leads into the host.
func testLinkedTargets(t *testing.T, root, source string, mount func(pot.Mount) error) {
	outside := t.TempDir()
	must.NoError(t, os.MkdirAll(filepath.Join(root, "linked/home"), 0o755))
	for link, to := range map[string]string{
		"home": "linked/home", "abs": "/linked/home", "chain": "abs/", "up": "../../../linked/./home",
		"linked/back": "../abs/../home", "dangling": "linked/new/deep", "out": outside, "here": ".", "top": "/..",
		"loop": "pool", "pool": "/loop", "file": "linked/made", "linked/self": "self",
	} {
		must.NoError(t, os.Symlink(to, filepath.Join(root, link)))
	}
	for target, at := range map[string]string{
		"/home/1": "linked/home/1", "/abs/2/deep": "linked/home/2/deep", "/chain/3": "linked/home/3", "/up/4": "linked/home/4",
		"/linked/back/5": "linked/home/5", "/dangling": "linked/new/deep", "/out/x": outside + "/x", "/top/here/linked/6": "linked/6",
		"/home": "linked/home",
	} {
		t.Run(strings.TrimPrefix(target, "/"), func(t *testing.T) {
			must.NoError(t, mount(pot.Mount{Source: source, Target: target}))
			must.FileContains(t, filepath.Join(root, at, "f"), "from the host")
		})
	}
	t.Run("a file is mounted through a link", func(t *testing.T) {
		must.NoError(t, mount(pot.Mount{Source: filepath.Join(source, "f"), Target: "/file"}))
		must.FileContains(t, filepath.Join(root, "linked/made"), "from the host")
	})
	// Linux follows 40 links in a path (path_resolution(7)), FreeBSD 32 (MAXSYMLINKS,
	// sys/param.h).
	for target, want := range map[string]string{"/loop/x": "more than 40 links", "/linked/self": "more than 40 links", "/top": "must be below"} {
		must.ErrorContains(t, mount(pot.Mount{Source: source, Target: target}), want)
	}
	left, err := os.ReadDir(outside)
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}

// testLinkedLife starts a pot whose image has links where its mounts are: all mounts are
// visible, and none hides another. Mounts are ordered by where they lead: ordered by their
// names, an outer mount would hide an inner one.
func testLinkedLife(t *testing.T, bed Bed) {
	const linked = "linked_1_0"
	stream := changedStream(t, bed.pots(), bed.Stream(), func(*local.Pot) {
		dir, err := bed.Host.Datasets.Dir(t.Context(), "changed")
		must.NoError(t, err)
		for link, to := range map[string]string{"linked": "/usr/linked", "own": "usr/own", "shared": "../var/shared"} {
			must.NoError(t, os.Symlink(to, filepath.Join(dir, "m", link)))
		}
	})
	must.NoError(t, bed.Host.Images.Receive(t.Context(), linked, bytes.NewReader(stream)))
	t.Cleanup(func() { must.NoError(t, bed.Host.Images.Destroy(context.Background(), linked)) })
	source := func(text string) string {
		dir := t.TempDir()
		must.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte(text), 0o644))
		return dir
	}
	s := spec("linked", "sleep", "1h")
	s.Image = linked
	s.Mounts = []pot.Mount{
		{Source: source("inner"), Target: "/linked/sub"}, // below the next one, by its link
		{Source: source("outer"), Target: "/usr/linked"},
		{Source: source("local"), Target: "/own"},
		{Source: source("alloc"), Target: "/shared"},
	}
	tk := start(t, bed, s)
	for path, want := range map[string]string{
		"/linked/f": "outer", "/usr/linked/f": "outer", "/linked/sub/f": "inner", "/usr/linked/sub/f": "inner",
		"/own/f": "local", "/usr/own/f": "local", "/shared/f": "alloc", "/var/shared/f": "alloc",
	} {
		must.Eq(t, want, strings.TrimSpace(tk.exec(t, "cat", path)), must.Sprint(path))
	}
	t.Run("two mounts on one target are an error", func(t *testing.T) {
		s := spec("twice", "sleep", "1h")
		s.Image = linked
		s.Mounts = []pot.Mount{{Source: source("a"), Target: "/linked/x"}, {Source: source("b"), Target: "/usr/linked/x"}}
		_, err := bed.pots().Create(t.Context(), s)
		must.ErrorContains(t, err, "on /usr/linked/x: a link of the image leads to /usr/linked/x, where ")
	})
}
