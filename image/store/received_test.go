package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

// forged is the stream of an image with that content, whose dataset has a snapshot with
// that GUID: 0 is the top one, 1 is m.
func forged(content string, dataset int, guid uint64) []byte {
	data := imagetest.Stream(content)
	l, s := hostileListOf(data), hostileSplit(data)
	l.sets[dataset].guid = guid
	s[0].setPayload(l.pack())
	for _, r := range s[s.dataset(dataset):] {
		if r.kind() == drrBegin || r.kind() == drrEnd {
			r.set64(32, guid) // drr_toguid
		}
		if r.kind() == drrEnd {
			break
		}
	}
	return s.seal()
}

// guidOf is that of the snapshot of m in a stream.
func guidOf(data []byte) uint64 { return hostileListOf(data).sets[1].guid }

// add offers an image with that stream.
func (b *rig) add(name string, stream []byte) image.Ref {
	b.server.Add(name, "1.0", imagetest.XZ(stream), imagetest.NoMeta)
	return image.Ref{Source: b.server.URL, Name: name, Tag: "1.0"}
}

// inDir has datasets that are all in one directory.
type inDir struct {
	pot.Cloner
	dir string
}

func (p inDir) Dir(context.Context, string) (string, error) { return p.dir, nil }

// An image is refused that has a snapshot with the GUID of one of another image.
func TestStore_Ensure_guids(t *testing.T) {
	leak.Check(t)
	good := imagetest.Stream("small")
	refused := func(t *testing.T, b *rig, evil image.Ref, by string) {
		before := b.datasets.Names()
		_, err := b.Ensure(t.Context(), evil, anyImage, nil)
		must.ErrorContains(t, err, fmt.Sprintf("import %s: its snapshot with GUID %#x is also in image %s, which has another digest", evil, guidOf(good), by))
		must.False(t, image.Retryable(err))
		must.Eq(t, before, b.datasets.Names())
		left, err := filepath.Glob(filepath.Join(b.cache, ".*"))
		must.NoError(t, err)
		must.SliceEmpty(t, left)
	}
	for name, dataset := range map[string]int{"its tree": 1, "its top dataset": 0} {
		t.Run("an image with the GUID in "+name, func(t *testing.T) {
			b := newRig(t)
			_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
			must.NoError(t, err)
			refused(t, b, b.add("evil", forged("evil", dataset, guidOf(good))), "small_1_0")
		})
	}
	t.Run("an image that a pot was made of that is an image no more", func(t *testing.T) {
		b := newRig(t)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		must.NoError(t, err)
		defer root.Close()
		_, err = zstream.Extract(t.Context(), bytes.NewReader(good), root, zstream.Options{})
		must.NoError(t, err)
		s, err := local.Open(t.Context(), pot.Host{Images: b.datasets, Datasets: inDir{dir: dir}}, "small_1_0")
		must.NoError(t, err)
		must.NoError(t, s.Apply(t.Context(), local.SetHostname{Hostname: "mine"}))
		labels, err := b.datasets.Labels(t.Context(), "small_1_0")
		must.NoError(t, err)
		must.Eq(t, "", labels[store.LabelRef]+labels[store.LabelDigest])
		refused(t, b, b.add("evil", forged("evil", 1, guidOf(good))), "small_1_0")
	})
	t.Run("an image that an earlier version imported, which is given its label", func(t *testing.T) {
		b := newRig(t)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		want, err := b.datasets.Labels(t.Context(), "small_1_0")
		must.NoError(t, err)
		must.NoError(t, b.datasets.Clear("small_1_0", store.LabelReceived))
		refused(t, b, b.add("evil", forged("evil", 1, guidOf(good))), "small_1_0")
		got, err := b.datasets.Labels(t.Context(), "small_1_0")
		must.NoError(t, err)
		must.Eq(t, want, got)
	})
	t.Run("the same image has it under another name as well", func(t *testing.T) {
		b := newRig(t)
		for _, ref := range []image.Ref{b.small, b.add("again", good)} {
			_, err := b.Ensure(t.Context(), ref, anyImage, nil)
			must.NoError(t, err)
		}
		must.Eq(t, []string{"again_1_0", "small_1_0"}, b.datasets.Names())
	})
	t.Run("a pot of this host has it, of which the image was made", func(t *testing.T) {
		b := newRig(t)
		must.NoError(t, b.datasets.Receive(t.Context(), "small", bytes.NewReader(good)))
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
	})
	t.Run("what a crash left of an import has no say", func(t *testing.T) {
		for _, left := range []string{fmt.Sprintf("skein1024:00 %x", guidOf(good)), "", "skein1024:00 half of a gui"} {
			b := newRig(t)
			dir := filepath.Join(b.cache, ".import-1-1")
			b.datasets.Receiving = func(context.Context, string) error { // after what there was has been swept
				must.NoError(t, os.MkdirAll(dir, 0o700))
				return os.WriteFile(filepath.Join(dir, "received"), []byte(left), 0o600)
			}
			_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
			must.NoError(t, err)
		}
	})
	t.Run("a list of images that cannot be had is not the stream's fault", func(t *testing.T) {
		b := newRig(t)
		store := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), unlabelled{b.datasets})
		_, err := store.Ensure(t.Context(), b.small, anyImage, nil)
		must.EqError(t, err, "import "+b.small.String()+": list images: zfs get: no")
		b.nothingMade(t)
	})
}

type unlabelled struct{ *imagetest.Datasets }

func (unlabelled) Labelled(context.Context, ...string) (map[string]map[string]string, error) {
	return nil, fmt.Errorf("zfs get: no")
}

// Two images with one GUID that are imported at the same time: one of them is not, and may
// be tried again. Two stores with one cache are as two processes.
func TestStore_Ensure_guidsAtOnce(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	b.cache = filepath.Join(b.cache, "of [a] host*") // is no pattern
	evil := b.add("evil", forged("evil", 1, guidOf(imagetest.Stream("small"))))
	other := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), b.datasets)
	held, release := make(chan struct{}), make(chan struct{})
	stop := holding{b.datasets, sync.OnceFunc(func() { close(held); <-release })}
	store := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), stop)
	done := make(chan error, 1)
	go func() {
		_, err := store.Ensure(t.Context(), b.small, anyImage, nil)
		done <- err
	}()
	<-held // all of it is received, and it has no label yet
	_, err := other.Ensure(t.Context(), evil, anyImage, nil)
	must.ErrorContains(t, err, "an image with another digest, which has it too, is being imported")
	must.True(t, image.Retryable(err))
	close(release)
	must.NoError(t, <-done)
	_, err = other.Ensure(t.Context(), evil, anyImage, nil)
	must.ErrorContains(t, err, "is also in image small_1_0, which has another digest")
	must.Eq(t, []string{"small_1_0"}, b.datasets.Names())
}

// holding are datasets whose first labels wait.
type holding struct {
	*imagetest.Datasets
	wait func()
}

func (h holding) SetLabels(ctx context.Context, name string, labels map[string]string) error {
	h.wait()
	return h.Datasets.SetLabels(ctx, name, labels)
}

// Of many at once, never two with one GUID.
func TestStore_Ensure_guidsRace(t *testing.T) {
	leak.Check(t)
	guid := guidOf(imagetest.Stream("small"))
	for range 5 {
		b := newRig(t)
		var all sync.WaitGroup
		for i := range 6 {
			ref := b.add(fmt.Sprint("evil", i), forged(fmt.Sprint("evil", i), 1, guid))
			store := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), b.datasets)
			all.Go(func() { _, _ = store.Ensure(t.Context(), ref, anyImage, nil) })
		}
		all.Wait()
		must.Len(t, 1, b.datasets.Names())
	}
}

// What a host receives of a package is what an image may have, and nothing else of its list.
func TestStore_Ensure_list(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	s := hostileSplit(hostileGood())
	l := hostileListOf(hostileGood())
	l.sets[0].props = hostileNV{{"mountpoint", "/opt/pot/jails/bad"}, {"com.sun:auto-snapshot", "true"}, {":pot.tag", "1.0"}, {"nomad.pot:ref", "x"}}
	l.sets[1].props = hostileNV{
		{"recordsize", uint64(16384)}, {"compression", uint64(15)}, {"copies", uint64(3)}, {"dedup", uint64(2)}, {"sync", uint64(2)},
		{"checksum", uint64(2)}, {"primarycache", uint64(0)}, {"special_small_blocks", uint64(4096)}, {"snapdir", uint64(1)},
	}
	l.sets[1].snapProps = hostileNV{{"com.sun:auto-snapshot", "true"}}
	l.sets[1].more = hostileNV{{"anything", uint64(1)}}
	l.more = hostileNV{{"fromsnap", "1600000000"}, {"not_recursive", hostileRaw{typ: 1}}}
	s[0].setPayload(l.pack())
	_, err := b.Ensure(t.Context(), b.add("good", s.seal()), anyImage, nil)
	must.NoError(t, err)

	plain := hostileSplit(hostileGood())
	got := hostileSplit(b.datasets.StreamOf("good_1_0"))
	for _, unwanted := range []string{"auto-snapshot", "pot", "mountpoint", "copies", "dedup", "sync", "checksum", "cache", "special",
		"snapdir", "anything", "\x08fromsnap", "1600000000", "recursive"} {
		must.False(t, bytes.Contains(got[0].payload, []byte(unwanted)), must.Sprint(unwanted))
	}
	for _, wanted := range []string{"recordsize", "compression", "1700000000"} {
		must.True(t, bytes.Contains(got[0].payload, []byte(wanted)), must.Sprint(wanted))
	}
	must.Eq(t, plain[2:].seal(), got[2:].seal(), must.Sprint("all else is as it was"))
}

// layerStream is one that a FreeBSD 14.2 made.
func layerStream(t *testing.T, name string) []byte {
	f, err := os.Open(filepath.Join("../zstream/testdata", name))
	must.NoError(t, err)
	defer f.Close()
	data, err := io.ReadAll(xz.NewReader(f))
	must.NoError(t, err)
	return data
}

// A layer must be a clone of what its .meta names, in its list and in its records: what is
// incremental only, zfs receive puts into the image itself that it is incremental from.
func TestLayers_clone(t *testing.T) {
	leak.Check(t)
	const meta = "fxsmall:1.0@1795391932\n"
	for name, c := range map[string]struct {
		edit func(s hostileStream)
		want string
	}{
		"as it was made": {func(hostileStream) {}, ""},
		"no clone": {func(s hostileStream) { s[s.dataset(1)].set32(28, 0xc) },
			"fxchild/m@1795392050 is incremental from snapshot 0x64a304f0007f8164, and its flags are 0xc: it is neither whole nor a clone"},
		"a clone of nothing": {func(s hostileStream) { s[s.dataset(0)].set32(28, 0xd) },
			"fxchild@1795392050 is incremental from snapshot 0x0, and its flags are 0xd: it is neither whole nor a clone"},
		"a top dataset that is a layer as well": {func(s hostileStream) {
			s[s.dataset(0)].set32(28, 0xd)
			s[s.dataset(0)].set64(40, 0x64a304f0007f8164)
		}, "fxchild@1795392050 is incremental from snapshot 0x64a304f0007f8164, and the list of the package has it on 0x0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRig(t)
			b.server.Add("fxsmall", "1.0", imagetest.XZ(layerStream(t, "fxsmall_1.0.xz")), "-\n")
			s := hostileSplit(layerStream(t, "fxchild_2.0.xz"))
			c.edit(s)
			b.server.Add("fxchild", "2.0", imagetest.XZ(s.seal()), meta)
			_, err := b.Ensure(t.Context(), image.Ref{Source: b.server.URL, Name: "fxchild", Tag: "2.0"}, anyImage, nil)
			if c.want == "" {
				must.NoError(t, err)
				must.Eq(t, []string{"fxchild_2_0", "fxsmall_1_0"}, b.datasets.Names())
				return
			}
			must.ErrorContains(t, err, c.want)
			must.Eq(t, []string{"fxsmall_1_0"}, b.datasets.Names())
		})
	}
}

// Every image that a FreeBSD made is imported, layers on what they name.
func TestStore_Ensure_made(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	metas := map[string]string{"fxchild_2.0.xz": "fxsmall:1.0@1795391932\n", "fxgrand_3.1.4.xz": "fxchild:2.0@1795392050\n"}
	files, err := filepath.Glob("../zstream/testdata/*_*.xz")
	must.NoError(t, err)
	files = slices.DeleteFunc(files, func(file string) bool { // the same stream, compressed otherwise
		return strings.HasSuffix(file, "-oneblock.xz")
	})
	must.SliceNotEmpty(t, files)
	for _, file := range files { // all, before one is asked for that is layered on another
		data, err := os.ReadFile(file)
		must.NoError(t, err)
		name, tag, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".xz"), "_")
		meta := metas[filepath.Base(file)]
		if meta == "" {
			meta = "-\n"
		}
		b.server.Add(name, tag, data, meta)
	}
	for _, file := range files {
		name, tag, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".xz"), "_")
		t.Run(name, func(t *testing.T) {
			_, err := b.Ensure(t.Context(), image.Ref{Source: b.server.URL, Name: name, Tag: tag}, anyImage, nil)
			must.NoError(t, err)
		})
	}
}

// A wait for the lock of the cache ends with the caller's time.
func TestStore_Ensure_locked(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	unlock, err := lockdir.LockShared(t.Context(), b.cache)
	must.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = b.Ensure(ctx, b.small, anyImage, nil)
	must.ErrorIs(t, err, context.DeadlineExceeded)
	b.nothingMade(t)
}

// Hosts know the labels and names that this package gives.
func TestLabels(t *testing.T) {
	leak.Check(t)
	must.Eq(t, conf.LabelRef, store.LabelRef)
	must.Eq(t, conf.LabelDigest, store.LabelDigest)
	must.Eq(t, conf.LabelReceived, store.LabelReceived)
	b := newRig(t)
	b.datasets.Receiving = func(_ context.Context, name string) error {
		must.StrHasPrefix(t, conf.ImportPrefix, name)
		return nil
	}
	_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
	must.NoError(t, err)
}
