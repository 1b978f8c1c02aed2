package freebsd

import (
	"archive/tar"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// archived is a tar archive with an empty file for each name, open for reading.
func archived(t *testing.T, names ...string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "tree.tar"))
	must.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	w := tar.NewWriter(f)
	for _, name := range names {
		must.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644}))
	}
	must.NoError(t, w.Close())
	_, err = f.Seek(0, 0)
	must.NoError(t, err)
	return f
}

// unpackOn is Unpack of the model's host.
func unpackOn(t *testing.T, m *model) func(context.Context, string, *os.File) error {
	h, _ := m.host(t)
	return h.Unpack
}

func TestDatasets_unpack(t *testing.T) {
	leak.Check(t)
	t.Run("a pot is made by tar, with the directories that a jail mounts on", func(t *testing.T) {
		m := newModel(t)
		must.NoError(t, unpackOn(t, m)(t.Context(), "new", archived(t, "./bin/sh")))
		must.Eq(t, []string{
			"zfs create tank/pot/jails/new",
			"zfs create tank/pot/jails/new/m",
			"tar -x -p --numeric-owner -f - -C " + m.place("tank/pot/jails/new") + "/m",
		}, m.commands)
		for _, want := range []string{"conf", "m/bin/sh", "m/dev", "m/tmp"} {
			_, err := os.Stat(m.place("tank/pot/jails/new/" + want))
			must.NoError(t, err)
		}
		info, err := os.Stat(m.place("tank/pot/jails/new/m/tmp"))
		must.NoError(t, err)
		must.Eq(t, fs.ModeDir|fs.ModeSticky|0o777, info.Mode())
	})
	t.Run("directories of the archive stay as they are", func(t *testing.T) {
		m := newModel(t)
		must.NoError(t, unpackOn(t, m)(t.Context(), "new", archived(t, "tmp/kept", "dev/kept")))
		info, err := os.Stat(m.place("tank/pot/jails/new/m/tmp"))
		must.NoError(t, err)
		must.Eq(t, fs.ModeDir|0o755, info.Mode())
	})
	t.Run("a name that is taken is left alone", func(t *testing.T) {
		m := newModel(t)
		before := m.state()
		must.ErrorIs(t, unpackOn(t, m)(t.Context(), "web_1_0", archived(t, "etc/motd")), fs.ErrExist)
		must.Eq(t, before, m.state())
	})
	t.Run("an archive that tar refuses leaves nothing, and the error is tar's", func(t *testing.T) {
		m := newModel(t)
		before := m.state()
		err := unpackOn(t, m)(t.Context(), "new", archived(t, "etc/motd", "../../etc/passwd"))
		must.EqError(t, err, "unpack: ../../etc/passwd: Path contains '..'")
		must.Eq(t, before, m.state())
	})
	t.Run("whichever command fails, nothing is left", func(t *testing.T) {
		for n := 1; n <= 3; n++ {
			m := newModel(t)
			before := m.state()
			m.failAt = n
			err := unpackOn(t, m)(t.Context(), "new", archived(t, "etc/motd"))
			must.Error(t, err)
			must.StrContains(t, err.Error(), "injected")
			must.Eq(t, before, m.state(), must.Sprintf("after command %d", n))
		}
	})
	t.Run("a link in place of a directory is not followed", func(t *testing.T) {
		tree, outside := t.TempDir(), t.TempDir()
		must.NoError(t, os.Symlink(outside, filepath.Join(tree, "tmp")))
		must.NoError(t, addRuntimeDirs(tree))
		info, err := os.Stat(outside)
		must.NoError(t, err)
		must.Eq(t, fs.ModeDir|0o755, info.Mode())
	})
	t.Run("an empty file is no archive, and nothing is made of it", func(t *testing.T) {
		m := newModel(t)
		f, err := os.Create(filepath.Join(t.TempDir(), "base.txz"))
		must.NoError(t, err)
		defer f.Close()
		must.EqError(t, unpackOn(t, m)(t.Context(), "new", f), "it is empty: it is no tar archive")
		must.SliceEmpty(t, m.commands)
	})
	t.Run("no name is a path", func(t *testing.T) {
		m := newModel(t)
		for _, name := range []string{"", "..", "a/b", "a@b", strings.Repeat("x", 300)} {
			must.Error(t, unpackOn(t, m)(t.Context(), name, archived(t, "x")))
		}
		must.SliceEmpty(t, m.commands)
	})
}
