package hosttest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

// A mountCase is a list of mounts and what a pot sees through them.
type mountCase struct {
	name   string
	mounts []mountOf
	want   map[string]string // by path in the pot: "ro" or "rw", and the text; "none" if there is no file
}

// A mountOf is a pot.Mount of a file or directory below the test's directory.
type mountOf struct{ mode, source, target string }

// mountCases are mounts within other mounts. Each mount, and each part of it, is as
// writable as that mount asked for, whatever else is mounted below its source. FreeBSD's
// nullfs cannot cover a directory with itself, so that its host splits directories instead:
// most cases are about that (pot/freebsd, split.go).
var mountCases = []mountCase{
	{"read-only", []mountOf{{"ro", "data", "/d"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "ro f", "/d/sub/deep/g": "ro g"}},
	{"a part of a read-only directory is writable", []mountOf{{"ro", "data", "/d"}, {"rw", "data/sub", "/d/sub"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "rw f", "/d/sub/deep/g": "rw g", "/d/other/o": "ro o"}},
	{"a part of a writable directory is read-only", []mountOf{{"rw", "data", "/d"}, {"ro", "data/sub", "/d/sub"}},
		map[string]string{"/d/keys": "rw keys", "/d/sub/f": "ro f", "/d/sub/deep/g": "ro g", "/d/other/o": "rw o"}},
	{"three levels, the middle one writable", []mountOf{{"ro", "data", "/d"}, {"rw", "data/sub", "/d/sub"}, {"ro", "data/sub/deep", "/d/sub/deep"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "rw f", "/d/sub/deep/g": "ro g", "/d/other/o": "ro o"}},
	{"three levels, the middle one read-only", []mountOf{{"rw", "data", "/d"}, {"ro", "data/sub", "/d/sub"}, {"rw", "data/sub/deep", "/d/sub/deep"}},
		map[string]string{"/d/keys": "rw keys", "/d/sub/f": "ro f", "/d/sub/deep/g": "rw g", "/d/other/o": "rw o"}},
	{"two levels down, writable", []mountOf{{"ro", "data", "/d"}, {"rw", "data/sub/deep", "/d/sub/deep"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "ro f", "/d/sub/deep/g": "rw g", "/d/other/o": "ro o"}},
	{"two levels down, read-only", []mountOf{{"rw", "data", "/d"}, {"ro", "data/sub/deep", "/d/sub/deep"}},
		map[string]string{"/d/keys": "rw keys", "/d/sub/f": "rw f", "/d/sub/deep/g": "ro g", "/d/other/o": "rw o"}},
	{"two parts", []mountOf{{"ro", "data", "/d"}, {"rw", "data/sub", "/d/sub"}, {"rw", "data/other", "/d/other"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "rw f", "/d/other/o": "rw o"}},
	{"two parts, one within the other, the inner first", []mountOf{{"ro", "data", "/d"}, {"ro", "data/sub/deep", "/d/sub/deep"}, {"rw", "data/sub", "/x"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "ro f", "/d/sub/deep/g": "ro g", "/x/f": "rw f"}},
	{"a file of a read-only directory is writable", []mountOf{{"ro", "data", "/d"}, {"rw", "data/keys", "/d/keys"}},
		map[string]string{"/d/keys": "rw keys", "/d/sub/f": "ro f"}},
	{"a file of a writable directory is read-only", []mountOf{{"rw", "data", "/d"}, {"ro", "data/keys", "/d/keys"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "rw f"}},
	{"a file two levels down is read-only", []mountOf{{"rw", "data", "/d"}, {"ro", "data/sub/f", "/d/sub/f"}},
		map[string]string{"/d/keys": "rw keys", "/d/sub/f": "ro f", "/d/sub/deep/g": "rw g", "/d/other/o": "rw o"}},
	{"a file in place of another", []mountOf{{"ro", "data", "/d"}, {"rw", "more/m", "/d/keys"}},
		map[string]string{"/d/keys": "rw m", "/d/sub/f": "ro f"}},
	{"a file in place of another, in what is read-only in part", []mountOf{{"ro", "data", "/d"}, {"rw", "data/sub", "/d/sub"}, {"rw", "more/m", "/d/keys"}, {"ro", "more/n", "/d/sub/f"}},
		map[string]string{"/d/keys": "rw m", "/d/sub/f": "ro n", "/d/sub/deep/g": "rw g", "/d/other/o": "ro o"}},
	{"a file, and then a part", []mountOf{{"ro", "data", "/d"}, {"rw", "more/m", "/d/sub/f"}, {"rw", "data/other", "/d/other"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/f": "rw m", "/d/sub/deep/g": "ro g", "/d/other/o": "rw o"}},
	{"another directory in a read-only one", []mountOf{{"ro", "data", "/d"}, {"rw", "more", "/d/other"}},
		map[string]string{"/d/keys": "ro keys", "/d/other/m": "rw m"}},
	{"another directory in one that is read-only in part", []mountOf{{"ro", "data", "/d"}, {"rw", "more", "/d/other"}, {"ro", "more/m", "/d/other/m"}, {"rw", "data/sub", "/d/sub"}},
		map[string]string{"/d/keys": "ro keys", "/d/other/m": "ro m", "/d/other/n": "rw n", "/d/sub/f": "rw f"}},
	{"another directory below a part", []mountOf{{"rw", "data", "/d"}, {"rw", "more", "/d/sub/deep"}, {"ro", "data/sub", "/d/sub2"}, {"ro", "data/other", "/d/other"}},
		map[string]string{"/d/keys": "rw keys", "/d/sub/f": "rw f", "/d/sub/deep/m": "rw m", "/d/sub2/f": "ro f", "/d/other/o": "ro o"}},
	{"the same directory twice", []mountOf{{"rw", "data", "/d"}, {"ro", "data", "/e"}},
		map[string]string{"/d/keys": "rw keys", "/d/sub/f": "rw f", "/e/keys": "ro keys", "/e/sub/f": "ro f"}},
	{"another part in place of one", []mountOf{{"ro", "data", "/d"}, {"rw", "data/other", "/d/sub"}},
		map[string]string{"/d/keys": "ro keys", "/d/sub/o": "rw o", "/d/other/o": "ro o"}},
	{"two directories of one name, each read-only in part", []mountOf{{"rw", "data", "/a/d"}, {"rw", "more", "/b/d"}, {"ro", "data/sub", "/a/d/sub"}, {"ro", "more/n", "/b/d/n"}},
		map[string]string{"/a/d/keys": "rw keys", "/a/d/sub/f": "ro f", "/a/d/n": "none", "/b/d/m": "rw m", "/b/d/n": "ro n", "/b/d/sub": "none"}},
}

// See returns the text of the file at a path in a pot, and whether it can be written to.
type See func(path string) (text string, writable bool, err error)

// Nested runs mountCases. mount mounts in a pot, and unmount unmounts everything that was
// mounted. It is exported for pot/freebsd, whose tests run it on a model of the kernel as
// well.
func Nested(t *testing.T, mount func(*testing.T, pot.Mount), see See, unmount func(*testing.T)) {
	for _, c := range mountCases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{"data/keys", "data/sub/f", "data/sub/deep/g", "data/other/o", "more/m", "more/n"} {
				must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
				must.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(filepath.Base(file)), 0o644))
			}
			must.NoError(t, os.Mkdir(filepath.Join(dir, "data/sub2"), 0o755))
			for _, m := range c.mounts {
				mount(t, pot.Mount{Source: filepath.Join(dir, m.source), Target: m.target, ReadOnly: m.mode == "ro"})
			}
			got := map[string]string{}
			for path := range c.want {
				text, writable, err := see(path)
				switch {
				case errors.Is(err, os.ErrNotExist):
					got[path] = "none"
				case err != nil:
					got[path] = err.Error()
				default:
					got[path] = fmt.Sprintf("%s %s", map[bool]string{true: "rw", false: "ro"}[writable], text)
				}
			}
			must.Eq(t, c.want, got)
			unmount(t)
		})
	}
}

// seeIn returns a See for a tree of this machine.
func seeIn(root string) See {
	return func(path string) (string, bool, error) {
		path = filepath.Join(root, path)
		text, err := os.ReadFile(path)
		if err != nil {
			return "", false, err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		switch {
		case errors.Is(err, syscall.EROFS):
			return string(text), false, nil
		case err != nil:
			return "", false, err
		}
		return string(text), true, f.Close()
	}
}

// testMountsWithin checks mounts within mounts, and directories that a pot changes.
func testMountsWithin(t *testing.T, bed Bed) {
	h := bed.Host
	dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: image, Name: "within"})
	must.NoError(t, err)
	root := filepath.Join(dir, "m")
	unmount := func(t *testing.T) { must.NoError(t, h.Mounts.UnmountAll(t.Context(), root)) }
	t.Run("each mount is as writable as it was asked to be", func(t *testing.T) {
		Nested(t, func(t *testing.T, m pot.Mount) { must.NoError(t, h.Mounts.Mount(t.Context(), root, m)) }, seeIn(root), unmount)
	})
	t.Run("nothing is mounted on the host, whatever a volume has in place of a mount point", func(t *testing.T) {
		testSwappedTarget(t, func(source, target string) error {
			return h.Mounts.Mount(t.Context(), root, pot.Mount{Source: source, Target: target, Resolved: true})
		})
		unmount(t)
	})
	must.NoError(t, h.Datasets.Destroy(t.Context(), "within"))
}
