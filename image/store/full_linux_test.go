package store_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/pot/linux"
)

// fullDisk is a small file system of its own in which room can be made, page by
// page.
type fullDisk struct {
	dir    string
	filler *os.File
}

// newFullDisk needs root.
func newFullDisk(t *testing.T) *fullDisk {
	t.Helper()
	need.Have(t, "root", os.Geteuid() == 0)
	leak.Check(t)
	d := &fullDisk{dir: t.TempDir()}
	must.NoError(t, unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size=16m,nr_inodes=0"))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(d.dir, 0)) })
	var err error
	d.filler, err = os.Create(filepath.Join(d.dir, "filler"))
	must.NoError(t, err)
	t.Cleanup(func() { d.filler.Close() })
	return d
}

// leave fills the disk but for so many pages.
func (d *fullDisk) leave(t *testing.T, pages int64) {
	t.Helper()
	page := make([]byte, os.Getpagesize())
	_, err := d.filler.Seek(0, io.SeekEnd)
	must.NoError(t, err)
	for err == nil {
		_, err = d.filler.Write(page)
	}
	must.ErrorIs(t, err, syscall.ENOSPC)
	info, err := d.filler.Stat()
	must.NoError(t, err)
	must.NoError(t, d.filler.Truncate(info.Size()/int64(len(page))*int64(len(page))-pages*int64(len(page))))
}

// files are the names in the disk's directory dir, but for the filler.
func (d *fullDisk) files(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if !errors.Is(err, os.ErrNotExist) {
		must.NoError(t, err)
	}
	for _, e := range entries {
		if e.Name() != "filler" {
			all = append(all, e.Name())
		}
	}
	return all
}

// untilRoom calls try with more and more room, until it succeeds. Each time before,
// it must say that there is none, and that trying again may help.
func (d *fullDisk) untilRoom(t *testing.T, most int64, try func() error) (failed int) {
	t.Helper()
	for room := int64(0); ; room++ {
		must.Less(t, most, room)
		d.leave(t, room)
		err := try()
		if err == nil {
			return failed
		}
		must.ErrorIs(t, err, syscall.ENOSPC, must.Sprintf("with room for %d pages", room))
		must.True(t, image.Retryable(err), must.Sprint(err))
		must.StrContains(t, err.Error(), "no space left on device")
		failed++
	}
}

// A disk that is full at whatever write of a download fails it, with that said,
// and leaves nothing in the cache; with room it succeeds.
func TestCache_Fetch_fullDisk(t *testing.T) {
	leak.Check(t)
	d := newFullDisk(t)
	server := imagetest.NewServer(t)
	server.Add("big", "1.0", imagetest.XZ(make([]byte, 5*os.Getpagesize())), imagetest.NoMeta)
	ref := image.Ref{Source: server.URL, Name: "big", Tag: "1.0"}
	dir := filepath.Join(d.dir, "cache")
	cache := fetch.NewCache(dir, fetch.Options{})
	failed := d.untilRoom(t, 50, func() error {
		f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		if err != nil {
			must.SliceEmpty(t, d.files(t, dir))
			return err
		}
		return f.Close()
	})
	must.Eq(t, []string{"big_1.0.xz", "big_1.0.xz.meta", "big_1.0.xz.skein"}, d.files(t, dir))
	must.Greater(t, 6, failed) // for each page of the image, and for the small files
}

// Likewise an import, by a real host: nothing of it is left but directories, and
// the cache keeps the image.
func TestStore_Ensure_fullDisk(t *testing.T) {
	leak.Check(t)
	d := newFullDisk(t)
	b := newRig(t)
	b.server.Add("small", "1.0", imagetest.XZ(imagetest.Stream(strings.Repeat("content ", os.Getpagesize()))), imagetest.NoMeta)
	host, err := linux.New(d.dir, "/bin/true")
	must.NoError(t, err)
	b.Store = store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), host.Images)
	failed := d.untilRoom(t, 50, func() error {
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		if err != nil {
			b.nothingMade(t)
			for _, sub := range []string{"jails", "layers", "labels"} {
				must.SliceEmpty(t, d.files(t, filepath.Join(d.dir, sub)), must.Sprint(err))
			}
		}
		return err
	})
	must.Greater(t, 8, failed) // for each page of the file, and for the labels
	must.Eq(t, []string{"small_1_0"}, d.files(t, filepath.Join(d.dir, "jails")))
	must.Eq(t, 1, b.server.Gets(b.small.File()))
}
