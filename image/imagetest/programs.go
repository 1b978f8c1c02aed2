package imagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// Programs returns a directory with about size bytes of this machine's programs,
// libraries and texts. It skips the test if there are too few.
func Programs(t testing.TB, size int64) string {
	t.Helper()
	dir, left := t.TempDir(), size
	for i, from := range []string{"/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/share", "/bin", "/usr/local/bin", "/usr/include", "/usr/lib/gcc/x86_64-linux-gnu/12", "/lib", "/usr/lib", "/sbin", "/usr/sbin"} {
		to := filepath.Join(dir, fmt.Sprint(i))
		must.NoError(t, os.Mkdir(to, 0o755))
		entries, err := os.ReadDir(from)
		if err != nil {
			continue
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() || info.Size() > left/4 {
				continue
			}
			data, err := os.ReadFile(filepath.Join(from, e.Name()))
			must.NoError(t, err)
			must.NoError(t, os.WriteFile(filepath.Join(to, e.Name()), data, 0o644))
			left -= info.Size()
		}
	}
	if left > size*6/10 {
		t.Skipf("needs programs of %d bytes in the usual places", size*4/10)
	}
	return dir
}
