package tree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/tree/treetest"
)

// linked returns a tree with links, some of which would lead out of it.
func linked(t *testing.T) string {
	return treetest.New(t, map[string]string{
		"usr/home": "/", "home": "-> usr/home", "abs": "-> /usr/home", "chain": "-> abs", "up": "-> ../../usr/home",
		"usr/back": "-> ../home", "out": "-> /nosuch", "loop": "-> loop", "top": "-> ..", "etc/conf": "text", "file": "-> etc/conf",
	})
}

func TestOpenTarget(t *testing.T) {
	leak.Check(t)
	root := linked(t)
	for inside, want := range map[string]string{
		"/home/x": "/usr/home/x", "/abs/x/y": "/usr/home/x/y", "/chain/x": "/usr/home/x", "/up/x": "/usr/home/x",
		"/usr/back/x": "/usr/home/x", "/out/x": "/nosuch/x", "/home": "/usr/home", "/top/usr/x": "/usr/x",
		"/home/../lib": "/usr/lib", "/../../etc/./x": "/etc/x",
	} {
		target, err := OpenTarget(root, inside, true, OpenAt)
		must.NoError(t, err, must.Sprint(inside))
		must.Eq(t, root+want, target.Path)
		must.Eq(t, filepath.Base(want), target.Base)
		must.DirExists(t, target.Path)
		in, err1 := target.Dir.Stat()
		above, err2 := os.Stat(filepath.Dir(target.Path))
		must.NoError(t, errors.Join(err1, err2, target.Close()))
		must.True(t, os.SameFile(in, above))
	}
	target, err := OpenTarget(root, "/file", false, OpenAt)
	must.NoError(t, err)
	must.Eq(t, root+"/etc/conf", target.Path)
	must.NoError(t, target.Close())
	for inside, want := range map[string]string{
		"/loop/x": "/loop: leads through more than 40 links", "/top": `"/top": leads to /, and must be below it`, "/": "must be below /",
		"/file/x": "/etc/conf: is not a directory in the pot",
	} {
		_, err := OpenTarget(root, inside, true, OpenAt)
		must.ErrorContains(t, err, want, must.Sprint(inside))
	}
}

// The walk ends in the tree, whatever others change in it meanwhile.
func TestOpenTarget_changed(t *testing.T) {
	leak.Check(t)
	outside := t.TempDir()
	t.Run(".. in a directory that was moved leads back, not to its new parent", func(t *testing.T) {
		root := treetest.New(t, map[string]string{"a/b/link": "-> ../x"})
		target, err := OpenTarget(root, "/a/b/link", true, func(dir *os.File, name string) (*os.File, error) {
			if name == "link" {
				must.NoError(t, os.Rename(filepath.Join(root, "a/b"), filepath.Join(outside, "b")))
			}
			return OpenAt(dir, name)
		})
		must.NoError(t, err)
		defer target.Close()
		must.DirExists(t, filepath.Join(root, "a/x"))
		must.DirNotExists(t, filepath.Join(outside, "x"))
	})
	t.Run("a link that becomes a directory is opened again", func(t *testing.T) {
		root := treetest.New(t, map[string]string{"link": "-> elsewhere"})
		swapped := false
		target, err := OpenTarget(root, "/link/x", true, func(dir *os.File, name string) (*os.File, error) {
			f, err := OpenAt(dir, name)
			if errors.Is(err, ErrLink) && !swapped {
				swapped = true
				must.NoError(t, os.Remove(filepath.Join(root, "link")))
				must.NoError(t, os.Mkdir(filepath.Join(root, "link"), 0o755))
			}
			return f, err
		})
		must.NoError(t, err)
		defer target.Close()
		must.Eq(t, root+"/link/x", target.Path)
	})
}

func TestResolve(t *testing.T) {
	leak.Check(t)
	root := linked(t)
	for inside, want := range map[string]string{
		"/home/x/y": "/usr/home/x/y", "/abs": "/usr/home", "/top": "/", "/new/x": "/new/x", "/out/x/../y": "/nosuch/y", "/etc/conf/x": "/etc/conf/x",
	} {
		got, err := Resolve(root, inside)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	must.DirNotExists(t, filepath.Join(root, "new"))
	_, err := Resolve(root, "/loop")
	must.ErrorContains(t, err, "/loop: leads through more than 40 links")
}
