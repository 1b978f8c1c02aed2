// Package treetest makes trees for tests of what reads or writes in a pot's tree.
package treetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// New returns the root of a new tree with those files, by their paths in it: "/" is a
// directory, "-> TARGET" a symbolic link, and all else the text of a regular file.
func New(t testing.TB, files map[string]string) (root string) {
	root = t.TempDir()
	for name, text := range files {
		at := filepath.Join(root, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		if target, link := strings.CutPrefix(text, "-> "); link {
			must.NoError(t, os.Symlink(target, at))
		} else if text == "/" {
			must.NoError(t, os.MkdirAll(at, 0o755))
		} else {
			must.NoError(t, os.WriteFile(at, []byte(text), 0o640))
		}
	}
	return root
}
