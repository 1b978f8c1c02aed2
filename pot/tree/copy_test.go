package tree

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/tree/treetest"
)

func TestCopyIn(t *testing.T) {
	leak.Check(t)
	at := time.Date(2020, 1, 2, 3, 4, 5, 6789, time.UTC)
	source := treetest.New(t, map[string]string{"conf/a": "A", "conf/deep/b": "B", "conf/link": "-> /etc/passwd", "one": "1"})
	must.NoError(t, os.Chtimes(filepath.Join(source, "one"), at, at))
	must.NoError(t, os.Chmod(filepath.Join(source, "one"), os.ModeSetuid|0o711))

	for name, c := range map[string]struct {
		from, to, want, text string
	}{
		"a file is copied to a name":                    {"one", "/etc/two", "etc/two", "1"},
		"a file is copied into a directory":             {"one", "/etc", "etc/one", "1"},
		"missing directories above a file are created":  {"one", "/srv/x/y", "srv/x/y", "1"},
		"a file replaces another":                       {"one", "/etc/old", "etc/old", "1"},
		"a file replaces a link, which is not followed": {"one", "/etc/out", "etc/out", "1"},
		"a directory is copied to a name":               {"conf", "/new", "new/deep/b", "B"},
		"a directory is copied into a directory":        {"conf", "/etc", "etc/conf/a", "A"},
		"a directory is merged into one of its name":    {"conf", "/has", "has/conf/a", "A"},
	} {
		t.Run(name, func(t *testing.T) {
			victim := filepath.Join(t.TempDir(), "victim")
			must.NoError(t, os.WriteFile(victim, []byte("safe"), 0o600))
			tree := treetest.New(t, map[string]string{"etc/old": "old", "etc/out": "-> " + victim, "has/conf/x": "x"})
			must.NoError(t, CopyIn(t.Context(), tree, Copy{Source: filepath.Join(source, c.from), Target: c.to, Resolved: true}))
			got, err := os.ReadFile(filepath.Join(tree, c.want))
			must.NoError(t, err)
			must.Eq(t, c.text, string(got))
			must.FileContains(t, victim, "safe")
		})
	}
	t.Run("mode, time and links are kept", func(t *testing.T) {
		tree := t.TempDir()
		must.NoError(t, CopyIn(t.Context(), tree, Copy{Source: filepath.Join(source, "one"), Target: "/one"}))
		info, err := os.Stat(filepath.Join(tree, "one"))
		must.NoError(t, err)
		must.Eq(t, os.ModeSetuid|0o711, info.Mode())
		must.True(t, info.ModTime().Equal(at))
		must.NoError(t, CopyIn(t.Context(), tree, Copy{Source: filepath.Join(source, "conf"), Target: "/conf"}))
		link, err := os.Readlink(filepath.Join(tree, "conf/link"))
		must.NoError(t, err)
		must.Eq(t, "/etc/passwd", link)
	})
	t.Run("a link that leads out of the tree is refused", func(t *testing.T) {
		outside := t.TempDir()
		tree := treetest.New(t, map[string]string{"etc": "-> " + outside})
		must.ErrorContains(t, CopyIn(t.Context(), tree, Copy{Source: filepath.Join(source, "one"), Target: "/etc/x"}), "escapes")
		must.FileNotExists(t, filepath.Join(outside, "x"))
	})
	for name, c := range map[string]struct {
		tree map[string]string
		from string
		want string
	}{
		"a file where a directory must be": {map[string]string{"t/conf": "f"}, "conf", "conf: already exists, and is not a directory"},
		"a directory where a file must be": {map[string]string{"t/one": "/"}, "one", "one: already exists, and is a directory"},
		"a link where a directory must be": {map[string]string{"t/conf": "-> /tmp"}, "conf", "conf: already exists, and is not a directory"},
		"a source that does not exist":     {map[string]string{"t/x": "x"}, "nosuch", "nosuch: no such file or directory"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			must.ErrorContains(t, CopyIn(t.Context(), treetest.New(t, c.tree), Copy{Source: filepath.Join(source, c.from), Target: "/t"}), c.want)
		})
	}
	t.Run("a fifo is refused, not waited for", func(t *testing.T) {
		odd := t.TempDir()
		must.NoError(t, syscall.Mkfifo(filepath.Join(odd, "fifo"), 0o600))
		must.ErrorContains(t, CopyIn(t.Context(), t.TempDir(), Copy{Source: odd, Target: "/odd"}), "fifo: only regular files, directories and symbolic links can be copied")
	})
	t.Run("a copy returns when its context is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		must.ErrorIs(t, CopyIn(ctx, t.TempDir(), Copy{Source: source, Target: "/x"}), context.Canceled)
	})
}
