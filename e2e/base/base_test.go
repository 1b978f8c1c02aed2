package base

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestLibraries(t *testing.T) {
	leak.Check(t)
	sh, err := exec.LookPath("sh")
	must.NoError(t, err)
	all, err := Libraries(sh)
	must.NoError(t, err)
	must.True(t, slices.ContainsFunc(all, func(path string) bool { return strings.Contains(path, "/libc.so.") }), must.Sprint(all))
	must.True(t, slices.ContainsFunc(all, func(path string) bool { return strings.HasPrefix(filepath.Base(path), "ld-") }), must.Sprint(all))
	all, err = Libraries("base_test.go")
	if err == nil { // where the sources are
		must.SliceEmpty(t, all)
	}
}

func TestWrite(t *testing.T) {
	leak.Check(t)
	const most = 4 << 20
	var out bytes.Buffer
	n, err := Write(&out, most)
	must.NoError(t, err)
	must.Between(t, most-most/16, n, most)
	seen, size := map[string]bool{}, int64(0)
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must.NoError(t, err)
		name := strings.TrimSuffix(h.Name, "/")
		must.False(t, seen[name], must.Sprint("twice: ", name))
		seen[name] = true
		size += h.Size
		if h.Typeflag == tar.TypeLink {
			must.True(t, seen[h.Linkname], must.Sprint(name))
		}
		if dir := filepath.Dir(name); dir != "." {
			must.True(t, seen[dir], must.Sprint(name))
		}
	}
	must.Eq(t, n, size)
	for _, name := range []string{"tmp", "dev", "var/run", "etc/rc.conf", "bin"} {
		must.True(t, seen[name], must.Sprint(name))
	}
	for _, name := range []string{"etc/shadow", "etc/master.passwd", "etc/ssh"} {
		must.False(t, seen[name], must.Sprint(name))
	}
}
