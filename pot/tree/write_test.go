package tree

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/tree/treetest"
)

// Files in a pot's tree have their mode whatever this process's umask is.
func TestUmask(t *testing.T) {
	leak.Check(t)
	defer syscall.Umask(syscall.Umask(0o077))
	mode := func(t *testing.T, at string) fs.FileMode {
		t.Helper()
		info, err := os.Stat(at)
		must.NoError(t, err)
		return info.Mode().Perm()
	}

	t.Run("mount points and the directories above them have the mode for all users", func(t *testing.T) {
		tree := t.TempDir()
		for target, want := range map[string]fs.FileMode{"/a/b/dir": 0o755, "/c/d/file": 0o644} {
			made, err := OpenTarget(tree, target, want == 0o755, OpenAt)
			must.NoError(t, err)
			must.NoError(t, made.Close())
			must.Eq(t, want, mode(t, filepath.Join(tree, target)))
		}
		for _, above := range []string{"a", "a/b", "c", "c/d"} {
			must.Eq(t, 0o755, mode(t, filepath.Join(tree, above)))
		}
	})

	t.Run("copies have the mode of the source, directories above them that for all users", func(t *testing.T) {
		source, tree := t.TempDir(), t.TempDir()
		must.NoError(t, os.Mkdir(filepath.Join(source, "d"), 0o700))
		must.NoError(t, os.WriteFile(filepath.Join(source, "d/f"), nil, 0o600))
		must.NoError(t, os.Chmod(filepath.Join(source, "d"), 0o777))
		must.NoError(t, os.Chmod(filepath.Join(source, "d/f"), 0o666))
		must.NoError(t, CopyIn(t.Context(), tree, Copy{Source: filepath.Join(source, "d"), Target: "/x/y/d", Resolved: true}))
		for at, want := range map[string]fs.FileMode{"x": 0o755, "x/y": 0o755, "x/y/d": 0o777, "x/y/d/f": 0o666} {
			must.Eq(t, want, mode(t, filepath.Join(tree, at)))
		}
	})
}

func TestMkdirAll(t *testing.T) {
	leak.Check(t)
	tree := treetest.New(t, map[string]string{"file": "x", "real": "/", "link": "-> real", "out": "-> /tmp", "lost": "-> nowhere"})
	root, err := os.OpenRoot(tree)
	must.NoError(t, err)
	defer root.Close()
	for _, name := range []string{".", "real", "link/in/it", "new/er"} {
		must.NoError(t, MkdirAll(root, name))
	}
	must.DirExists(t, filepath.Join(tree, "real/in/it"))
	for _, name := range []string{"file", "file/in", "out/in", "lost/in"} {
		must.Error(t, MkdirAll(root, name))
	}
}
