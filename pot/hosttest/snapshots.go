package hosttest

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

// testSnapshots checks pot.Snapshots on a pot with a setting and a hook of its own.
// Settings and tree are two datasets, whose snapshots must have the same name and be rolled
// back together: a pot with the settings of another time starts with addresses and mounts
// that are gone.
func testSnapshots(t *testing.T, bed Bed) {
	h, s := bed.Host, bed.Host.Snapshots
	const name, first, second = "own", "1800000000", "1800000001"
	must.NoError(t, h.Images.Receive(t.Context(), name, bed.Stream()))
	t.Cleanup(func() { must.NoError(t, h.Datasets.Destroy(context.Background(), name)) })
	dir, err := h.Datasets.Dir(t.Context(), name)
	must.NoError(t, err)
	file, hook := filepath.Join(dir, "m/etc/note"), filepath.Join(dir, "conf/prestart.sh")
	must.NoError(t, os.WriteFile(file, []byte("one"), 0o640))
	must.NoError(t, os.WriteFile(hook, []byte("#!/bin/sh\n"), 0o755))
	names := func(t *testing.T) (all []string) {
		list, err := s.List(t.Context(), name)
		must.NoError(t, err)
		for _, one := range list {
			if one.Child == "" && one.Name >= first {
				all = append(all, one.Name)
			}
		}
		return all
	}
	t.Run("a snapshot can be taken once", func(t *testing.T) {
		must.NoError(t, s.Take(t.Context(), name, first))
		must.ErrorIs(t, s.Take(t.Context(), name, first), fs.ErrExist)
		must.ErrorIs(t, s.Take(t.Context(), "nosuch", first), fs.ErrNotExist)
		must.Eq(t, []string{first}, names(t))
	})
	// zfs rollback to an older one destroys those after it.
	t.Run("a pot is rolled back to its newest snapshot only", func(t *testing.T) {
		must.NoError(t, os.WriteFile(file, []byte("two"), 0o640))
		must.NoError(t, s.Take(t.Context(), name, second))
		must.NoError(t, os.WriteFile(file, []byte("three"), 0o640))
		must.NoError(t, os.Remove(hook))
		must.Error(t, s.Rollback(t.Context(), name, first))
		must.NoError(t, s.Rollback(t.Context(), name, second))
		must.FileContains(t, file, "two")
		must.FileMode(t, hook, 0o755)
	})
	// Hooks and mounts of the origin act on the host: they are copied by choice, never by
	// cloning.
	t.Run("a clone has the snapshot's files and no settings", func(t *testing.T) {
		dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: name, Name: "copy", Snapshot: first})
		must.NoError(t, err)
		must.FileContains(t, filepath.Join(dir, "m/etc/note"), "one")
		left, err := os.ReadDir(filepath.Join(dir, "conf"))
		must.NoError(t, err)
		must.SliceEmpty(t, left)
		must.NoError(t, h.Datasets.Destroy(t.Context(), "copy"))
	})
	// This is export and import, with the modes of hooks.
	t.Run("a sent snapshot can be received", func(t *testing.T) {
		var b bytes.Buffer
		must.NoError(t, s.Send(t.Context(), name, second, &b))
		must.NoError(t, h.Images.Receive(t.Context(), "again", &b))
		dir, err := h.Datasets.Dir(t.Context(), "again")
		must.NoError(t, err)
		must.FileContains(t, filepath.Join(dir, "m/etc/note"), "two")
		must.FileMode(t, filepath.Join(dir, "conf/prestart.sh"), 0o755)
		must.NoError(t, h.Datasets.Destroy(t.Context(), "again"))
		must.Error(t, s.Send(t.Context(), name, "5", io.Discard))
	})
	t.Run("a snapshot can be destroyed twice, and the other stays", func(t *testing.T) {
		must.NoError(t, s.Destroy(t.Context(), name, first))
		must.NoError(t, s.Destroy(t.Context(), name, first))
		must.Eq(t, []string{second}, names(t))
	})
	t.Run("snapshots are renamed and destroyed with their pot", func(t *testing.T) {
		must.NoError(t, h.Images.Rename(t.Context(), name, "other"))
		list, err := s.List(t.Context(), "other")
		must.NoError(t, err)
		must.Eq(t, second, list[len(list)-1].Name)
		must.NoError(t, h.Datasets.Destroy(t.Context(), "other"))
		_, err = s.List(t.Context(), "other")
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a path is refused as a name", func(t *testing.T) {
		for _, bad := range []string{"", "..", "a/b", "/x"} {
			must.Error(t, s.Take(t.Context(), image, bad))
			must.Error(t, s.Take(t.Context(), bad, first))
			must.Error(t, s.Destroy(t.Context(), image, bad))
		}
	})
}
