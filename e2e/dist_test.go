package e2e

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/version"
)

// Two checkouts of a commit, in directories of different names, with different umasks and
// settings of Go and tar, give the same archives.
func TestDist(t *testing.T) {
	if testing.Short() {
		t.Skip("links eight programs")
	}
	needSources(t)
	gnu := gnuMake(t)
	_, err := exec.LookPath("git")
	need.Have(t, "git", err == nil)
	dist := func(dir, umask string, env ...string) string {
		dir = filepath.Join(t.TempDir(), dir)
		out, err := exec.Command("git", "clone", "-q", "--no-hardlinks", "..", dir).CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
		c := exec.Command("sh", "-c", "umask "+umask+"; exec "+gnu+" -s dist")
		c.Dir, c.Env = dir, makeEnv(append(env, "PLATFORMS=linux/amd64 freebsd/amd64")...)
		out, err = c.CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
		return filepath.Join(dir, "bin/dist")
	}
	sums := func(dir string) string {
		b, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		must.NoError(t, err)
		return string(b)
	}
	one := dist("one", "022")
	first := sums(one)
	must.Eq(t, 3, strings.Count(first, "\n"), must.Sprint(first))
	must.Eq(t, first, sums(dist("another/place", "077", "GOAMD64=v2", "TAR_OPTIONS=--mode=0700", "TZ=Asia/Tokyo")))

	archives, err := filepath.Glob(filepath.Join(one, "nomad-driver-pot-"+version.Number+"*-freebsd-amd64.tar.gz"))
	must.NoError(t, err)
	must.Len(t, 1, archives)
	files := map[string]*tar.Header{}
	for _, h := range headers(t, archives[0]) {
		must.Eq(t, 0, h.Uid+h.Gid)
		_, below, _ := strings.Cut(h.Name, "/")
		files[below] = h
	}
	for name, mode := range map[string]int64{
		"libexec/nomad/plugins/nomad-driver-pot": 0o755, "libexec/nomad/plugins/pot-supervisor": 0o755,
		"share/man/man1/pot.1": 0o644, "share/doc/nomad-driver-pot/LICENSE": 0o644,
	} {
		must.NotNil(t, files[name], must.Sprint(name))
		must.Eq(t, mode, files[name].Mode, must.Sprint(name))
	}
	must.Eq(t, "../libexec/nomad/plugins/nomad-driver-pot", files["bin/pot"].Linkname)
	buildSources(t, gnu, one)
}

// buildSources builds the archive of sources as a port does: without a module cache, and in a
// directory of the ports tree, which is a checkout of its own.
func buildSources(t *testing.T, gnu, archives string) {
	t.Helper()
	tree := t.TempDir()
	work := filepath.Join(tree, "work")
	must.NoError(t, os.Mkdir(work, 0o755))
	run := func(name string, args ...string) string {
		c := exec.Command(name, args...)
		c.Dir, c.Env = work, append(os.Environ(), "GOMODCACHE="+filepath.Join(tree, "none"), "GOPROXY=off")
		out, err := c.CombinedOutput()
		must.NoError(t, err, must.Sprint(name, args, string(out)))
		return string(out)
	}
	sources, err := filepath.Glob(filepath.Join(archives, "nomad-driver-pot-*[0-9a-f].tar.gz"))
	must.NoError(t, err)
	sources = slices.DeleteFunc(sources, func(s string) bool { return strings.Contains(s, "amd64") })
	must.Len(t, 1, sources)
	run("git", "init", "-q", tree)
	run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "ports")
	run("tar", "-xzf", sources[0], "--strip-components", "1")
	run(gnu, "-s", "programs")
	must.Eq(t, "nomad-driver-pot "+version.Number+"\n", run("./bin/nomad-driver-pot", "version"))
}

// headers returns what is in a tar.gz.
func headers(t *testing.T, file string) (all []*tar.Header) {
	t.Helper()
	f, err := os.Open(file)
	must.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must.NoError(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		must.NoError(t, err)
		all = append(all, h)
	}
}
