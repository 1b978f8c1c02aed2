package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestOpenSource(t *testing.T) {
	leak.Check(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	must.NoError(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a/b/f"), nil, 0o644))
	must.NoError(t, os.Symlink("a", filepath.Join(dir, "link")))
	must.NoError(t, os.Symlink("f", filepath.Join(dir, "a/b/last")))
	for _, tc := range []struct {
		at              string
		loose, resolved error
	}{
		{dir + "/a/b/f", nil, nil},
		{dir + "/a//b/", nil, nil},
		{"/", nil, nil},
		{dir + "/link", nil, ErrLink},
		{dir + "/link/b/f", nil, ErrLink},
		{dir + "/a/b/last", nil, ErrLink},
		{dir + "/a/nosuch/f", fs.ErrNotExist, fs.ErrNotExist},
	} {
		for resolved, want := range map[bool]error{false: tc.loose, true: tc.resolved} {
			f, err := OpenSource(tc.at, resolved)
			if want != nil {
				must.ErrorIs(t, err, want, must.Sprint(tc.at))
				must.ErrorContains(t, err, tc.at)
				continue
			}
			must.NoError(t, err)
			got, err1 := f.Stat()
			is, err2 := os.Stat(tc.at)
			must.NoError(t, errors.Join(err1, err2, f.Close()))
			must.True(t, os.SameFile(got, is))
		}
	}
}

func TestOpenRoot_resolved(t *testing.T) {
	leak.Check(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	must.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	must.NoError(t, os.Symlink("a", filepath.Join(dir, "link")))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a/f"), []byte("text"), 0o644))
	tree := t.TempDir()
	must.ErrorIs(t, CopyIn(t.Context(), tree, Copy{Source: dir + "/link/f", Target: "/f", Resolved: true}), ErrLink)
	must.FileNotExists(t, filepath.Join(tree, "f"))
	must.NoError(t, CopyIn(t.Context(), tree, Copy{Source: dir + "/link/f", Target: "/f"}))
	must.NoError(t, CopyIn(t.Context(), tree, Copy{Source: dir + "/a/f", Target: "/g", Resolved: true}))
	must.FileContains(t, filepath.Join(tree, "g"), "text")
}
