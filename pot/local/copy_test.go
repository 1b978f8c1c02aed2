package local

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/tree"
)

func TestCopyIn(t *testing.T) {
	leak.Check(t)
	s, h := newPot(t, "web")
	from, outside := t.TempDir(), t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(from, "f"), []byte("data"), 0o640))
	must.NoError(t, os.Symlink(outside, filepath.Join(s.tree(), "trap")))
	in := func(source, target string) CopyIn { return CopyIn{Copy: tree.Copy{Source: source, Target: target}} }

	t.Run("a file is copied to a name or into a directory", func(t *testing.T) {
		must.NoError(t, s.Apply(t.Context(), in(from+"/f", "/etc/g")))
		must.NoError(t, s.Apply(t.Context(), in(from+"/f", "/etc/")))
		must.Eq(t, "data", s.file(t, "m/etc/g")+s.file(t, "m/etc/f")[4:])
	})
	t.Run("a directory is copied to a name or into a directory", func(t *testing.T) {
		must.NoError(t, s.Apply(t.Context(), in(from, "/new")))
		must.Eq(t, "data", s.file(t, "m/new/f"))
		must.NoError(t, s.Apply(t.Context(), in(from, "/new")))
		must.Eq(t, "data", s.file(t, "m/new/"+filepath.Base(from)+"/f"))
		must.NoError(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: from, Target: "/a/b/c"}, Parents: true}))
		must.Eq(t, "data", s.file(t, "m/a/b/c/f"))
	})
	t.Run("nothing of the host is written to through a link", func(t *testing.T) {
		must.Error(t, s.Apply(t.Context(), in(from+"/f", "/trap/f")))
		must.Error(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: from + "/f", Target: "/trap/x/f"}, Parents: true}))
		must.NoError(t, s.Apply(t.Context(), in(from+"/f", "/trap"))) // replaces the link
		entries, err := os.ReadDir(outside)
		must.NoError(t, err)
		must.SliceEmpty(t, entries)
	})
	t.Run("nothing of the host is read through a link", func(t *testing.T) {
		must.NoError(t, os.Symlink("/etc", filepath.Join(s.tree(), "out")))
		must.Error(t, s.Apply(t.Context(), CopyOut{Source: "/out/passwd", Dir: outside}))
		must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/out", Dir: outside})) // the link itself
		to, err := os.Readlink(filepath.Join(outside, "out"))
		must.NoError(t, err)
		must.Eq(t, "/etc", to)
	})
	t.Run("a copy to the host loses its set-user-ID bit", func(t *testing.T) {
		program := filepath.Join(s.tree(), "su")
		must.NoError(t, os.WriteFile(program, []byte("#!"), 0o755))
		must.NoError(t, os.Chmod(program, 0o755|fs.ModeSetuid))
		must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/su", Dir: outside}))
		info, err := os.Stat(filepath.Join(outside, "su"))
		must.NoError(t, err)
		must.Eq(t, fs.FileMode(0o755), info.Mode())
	})
	t.Run("a fifo is not waited for", func(t *testing.T) {
		must.NoError(t, syscall.Mkfifo(filepath.Join(s.tree(), "fifo"), 0o600))
		must.ErrorContains(t, s.Apply(t.Context(), CopyOut{Source: "/fifo", Dir: outside}), "can be copied")
	})
	t.Run("a pot that runs is copied to only with Running", func(t *testing.T) {
		h.running["web"] = true
		must.ErrorIs(t, s.Apply(t.Context(), in(from+"/f", "/etc/h")), ErrRunning)
		must.ErrorIs(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: outside}), ErrRunning)
		must.NoError(t, s.Apply(t.Context(), CopyIn{Copy: tree.Copy{Source: from + "/f", Target: "/etc/h"}, Running: true}))
		must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: outside, Running: true}))
		_, err := os.Stat(filepath.Join(outside, "etc/h"))
		must.NoError(t, err)
	})
}
