package local

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

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
