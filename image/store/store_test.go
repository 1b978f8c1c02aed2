package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
)

// source is a place of images that none is fetched from.
const source = "https://images.example.org/pots"

// rig is a store with all that is around it.
type rig struct {
	*store.Store
	server   *imagetest.Server
	datasets *imagetest.Datasets
	cache    string
	small    image.Ref
}

// smallImage is one that can be imported.
var smallImage = imagetest.XZ(imagetest.Stream("small"))

func newRig(t *testing.T) *rig {
	b := &rig{datasets: imagetest.NewDatasets(), cache: t.TempDir()}
	leak.Check(t)
	b.server = imagetest.NewServer(t)
	b.server.Add("small", "1.0", smallImage, imagetest.NoMeta)
	b.small = image.Ref{Source: b.server.URL, Name: "small", Tag: "1.0"}
	b.Store = store.NewStore(fetch.NewCache(b.cache, fetch.Options{StallTimeout: 5 * time.Second}), b.datasets)
	return b
}

// nothingMade checks that neither a dataset nor temporary files are left.
func (b *rig) nothingMade(t *testing.T) {
	t.Helper()
	must.SliceEmpty(t, b.datasets.Names())
	left, err := filepath.Glob(filepath.Join(b.cache, ".*"))
	must.NoError(t, err)
	left = slices.DeleteFunc(left, func(name string) bool { return strings.HasPrefix(filepath.Base(name), ".partial-") })
	must.SliceEmpty(t, left)
}

var anyImage image.PullOptions

func TestStore_Ensure(t *testing.T) {
	leak.Check(t)
	t.Run("an image is fetched and imported once", func(t *testing.T) {
		b := newRig(t)
		ref := image.Ref{Source: b.server.URL, Name: imagetest.HelloName, Tag: imagetest.HelloTag}
		want := imagetest.Digest(t, imagetest.Hello(""), []byte(imagetest.NoMeta))
		var said []string
		for range 2 {
			got, err := b.Ensure(t.Context(), ref, anyImage, func(s string) { said = append(said, s) })
			must.NoError(t, err)
			must.Eq(t, store.Imported{Name: imagetest.HelloName + "_1_0", Digest: want}, got)
		}
		must.Eq(t, []string{fmt.Sprintf("downloading %s (%d KiB)", imagetest.HelloFile, (len(imagetest.Hello(""))+512)>>10), "importing " + imagetest.HelloFile}, said)
		must.Eq(t, 1, b.server.Gets(ref.File()))
		must.Eq(t, 1, b.datasets.Received())
		must.Eq(t, []string{imagetest.HelloName + "_1_0"}, b.datasets.Names())
		labels, err := b.datasets.Labels(t.Context(), imagetest.HelloName+"_1_0")
		must.NoError(t, err)
		guids, err := b.datasets.GUIDs(t.Context(), imagetest.HelloName+"_1_0")
		must.NoError(t, err)
		must.Len(t, 2, guids)
		slices.Sort(guids)
		must.Eq(t, map[string]string{
			store.LabelRef: ref.String(), store.LabelDigest: want.String(),
			store.LabelReceived: fmt.Sprintf("%s %x %x", want, guids[0], guids[1]),
		}, labels)
	})
	t.Run("an image of the cache is imported without a request", func(t *testing.T) {
		b := newRig(t)
		f, err := fetch.NewCache(b.cache, fetch.Options{}).Fetch(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		f.Close()
		_, err = b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		must.Eq(t, 1, b.server.Gets("small_1.0.xz"))
		must.Eq(t, imagetest.Stream("small"), b.datasets.StreamOf("small_1_0"))
	})
	t.Run("an image of another tool is used as it is, where that is allowed", func(t *testing.T) {
		b := newRig(t)
		b.datasets.Put("small_1_0", nil)
		got, err := b.Ensure(t.Context(), b.small, image.PullOptions{Local: true}, nil)
		must.NoError(t, err)
		must.Eq(t, store.Imported{Name: "small_1_0"}, got)
		must.Eq(t, 0, b.server.Gets("small_1.0.xz.skein"))
	})
	t.Run("a pinned image is used, wherever it is from", func(t *testing.T) {
		b := newRig(t)
		wantDigest := imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta))
		_, err := b.Ensure(t.Context(), b.small, image.PullOptions{Digest: wantDigest}, nil)
		must.NoError(t, err)
		mirror := image.Ref{Source: "https://mirror.example.org", Name: "small", Tag: "1.0"}
		_, err = b.Ensure(t.Context(), mirror, image.PullOptions{Digest: wantDigest}, nil)
		must.NoError(t, err)
	})
}

// What is there already is never replaced, nor taken for something else.
func TestStore_Ensure_taken(t *testing.T) {
	leak.Check(t)
	wantDigest := image.Digest{1}
	for name, c := range map[string]struct {
		labels map[string]string
		ref    image.Ref
		pin    image.Digest
		want   string
	}{
		"one without a digest": {
			nil, image.Ref{Source: source, Name: "small", Tag: "1.0"}, wantDigest,
			"use image small_1_0: it is a pot of this host, and is not an image; destroy or rename it (pot destroy, pot rename), " +
				"and the image is pulled, or allow pots of this host as images in the plugin's configuration (allow_local_images)",
		},
		"one with a bad digest": {
			map[string]string{store.LabelDigest: "x"}, image.Ref{Source: source, Name: "small", Tag: "1.0"}, image.Digest{},
			`use image small_1_0: nomad.pot:digest: must begin with "skein1024:"`,
		},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			b := newRig(t)
			b.datasets.Put("small_1_0", c.labels)
			_, err := b.Ensure(t.Context(), c.ref, image.PullOptions{Digest: c.pin}, nil)
			must.EqError(t, err, c.want)
			must.False(t, image.Retryable(err))
			must.Eq(t, []string{"small_1_0"}, b.datasets.Names())
		})
	}
}

// What becomes a pot of its own has no label of an image, and takes no name that is taken.
func TestStore_Ensure_own(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	own := image.PullOptions{AsPot: true}
	snapshot, err := b.Ensure(t.Context(), b.small, own, nil)
	must.NoError(t, err)
	must.Eq(t, store.Imported{Name: "small_1_0", Digest: imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta))}, snapshot)
	labels, err := b.datasets.Labels(t.Context(), "small_1_0")
	must.NoError(t, err)
	must.Eq(t, []string{store.LabelReceived}, slices.Collect(maps.Keys(labels)))

	_, err = b.Ensure(t.Context(), b.small, own, nil)
	must.ErrorIs(t, err, fs.ErrExist)
	must.False(t, image.Retryable(err))
	must.Eq(t, []string{"small_1_0"}, b.datasets.Names())
}

func TestStore_Ensure_refused(t *testing.T) {
	leak.Check(t)
	good := imagetest.XZ(imagetest.Stream("content"))
	for name, c := range map[string]struct {
		xz   []byte
		meta string
		want string // without the reference
	}{
		"a truncated image with the right digest": {good[:len(good)-10], "-\n",
			"decode bad_1.0.xz of REF: xz stream is cut off after 88626 bytes: unexpected EOF"},
		"an image with something behind it": {append(slices.Clone(good), "something"...), "-\n",
			"decode bad_1.0.xz of REF: something else after the end of the xz stream"},
		"what is not xz":  {imagetest.Content("content"), "-\n", "decode bad_1.0.xz of REF: not an xz file"},
		"no image at all": {nil, "-\n", "decode bad_1.0.xz of REF: empty, not an xz file"},
		"what is no stream": {imagetest.XZ([]byte("not a stream")), "-\n",
			"import REF: not a ZFS send stream: it ends after 12 bytes"},
		"a layered image": {good, "plain:1.0@1795392222\n",
			"import REF: layered on SOURCE/plain:1.0: fetch SOURCE/plain_1.0.xz.skein: 404 Not Found"},
		"a layered image on itself": {good, "bad:1.0@1795392222\n",
			"import REF: layered on itself, or on more than 16 images: bad_1_0 on bad_1_0"},
		"a layer that is none": {good, "small:1.0@1700000000\n",
			`import REF: record 1 at offset 1156: END: dataset "m": it is no layer, and .meta says what it is layered on`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRig(t)
			b.server.Add("bad", "1.0", c.xz, c.meta)
			ref := image.Ref{Source: b.server.URL, Name: "bad", Tag: "1.0"}
			_, err := b.Ensure(t.Context(), ref, anyImage, nil)
			want := bytes.ReplaceAll([]byte(c.want), []byte("REF"), []byte(ref.String()))
			want = bytes.ReplaceAll(want, []byte("SOURCE"), []byte(b.server.URL))
			must.EqError(t, err, string(want))
			must.False(t, image.Retryable(err))
			if name == "a layer that is none" {
				must.NoError(t, b.datasets.Destroy(t.Context(), "small_1_0")) // its origin, which was brought first
			} else {
				must.Eq(t, 0, b.datasets.Received())
			}
			b.nothingMade(t)
		})
	}
	t.Run("a bad digest reaches no dataset", func(t *testing.T) {
		b := newRig(t)
		b.datasets.Receiving = func(context.Context, string) error { panic("received") }
		b.server.Put("small_1.0.xz", good)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		var bad *image.DigestError
		must.True(t, errors.As(err, &bad))
		must.Eq(t, imagetest.Digest(t, good, []byte(imagetest.NoMeta)), bad.Got)
		b.nothingMade(t)
	})
	t.Run("no reference", func(t *testing.T) {
		_, err := newRig(t).Ensure(t.Context(), image.Ref{Source: source, Name: "a b", Tag: ""}, anyImage, nil)
		must.ErrorContains(t, err, `not "a b"`)
		must.ErrorContains(t, err, "tag: must be set")
	})
	t.Run("a full disk may have room later", func(t *testing.T) {
		b := newRig(t)
		b.datasets.Receiving = func(context.Context, string) error { return fmt.Errorf("write m/a: %w", syscall.ENOSPC) }
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.EqError(t, err, "import "+b.small.String()+": write m/a: no space left on device")
		must.True(t, image.Retryable(err))
	})
	t.Run("a stream that is not read to its end", func(t *testing.T) {
		b := newRig(t)
		store := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), hasty{b.datasets})
		_, err := store.Ensure(t.Context(), b.small, anyImage, nil)
		must.EqError(t, err, "import "+b.small.String()+": record 1 at offset 1156: END: the host did not read all of the zfs stream")
		b.nothingMade(t)
	})
}

func TestStore_Ensure_race(t *testing.T) {
	leak.Check(t)
	t.Run("another process that was faster has made the image", func(t *testing.T) {
		b := newRig(t)
		labels := map[string]string{store.LabelRef: b.small.String()}
		b.datasets.Receiving = func(context.Context, string) error {
			b.datasets.Put("small_1_0", labels)
			return nil
		}
		got, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		must.Eq(t, store.Imported{Name: "small_1_0"}, got)
		must.Eq(t, []string{"small_1_0"}, b.datasets.Names())
	})
	t.Run("two tags that are one dataset's name are beside each other", func(t *testing.T) {
		b := newRig(t)
		b.server.Add("small", "1_0", imagetest.XZ(imagetest.Stream("other")), imagetest.NoMeta)
		other := b.small
		other.Tag = "1_0"
		var errs [2]error
		var wg sync.WaitGroup
		for i, ref := range []image.Ref{b.small, other} {
			wg.Go(func() { _, errs[i] = b.Ensure(t.Context(), ref, anyImage, nil) })
		}
		wg.Wait()
		must.NoError(t, errors.Join(errs[:]...))
		names := b.datasets.Names()
		must.Len(t, 2, names)
		must.Eq(t, "small_1_0", names[0])
		must.StrHasPrefix(t, "small_1_0-", names[1])
	})
}

func TestStore_leftovers(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	crashed, live := filepath.Join(b.cache, ".import-1"), filepath.Join(b.cache, ".import-2")
	for _, d := range []string{crashed, live} {
		must.NoError(t, os.Mkdir(d, 0o700))
	}
	for _, name := range []string{"_import-1", "_import-2", "_import-other"} {
		b.datasets.Put(name, nil)
	}
	lock, err := os.Open(live)
	must.NoError(t, err)
	defer lock.Close()
	must.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))

	_, err = b.Ensure(t.Context(), b.small, anyImage, nil)
	must.NoError(t, err)
	must.DirNotExists(t, crashed)
	must.DirExists(t, live)
	must.Eq(t, []string{"_import-2", "_import-other", "small_1_0"}, b.datasets.Names())
}

func TestStore_Ensure_undo(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	d := &stubborn{Datasets: b.datasets, busy: true}
	store := store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), d)
	_, err := store.Ensure(t.Context(), b.small, anyImage, nil)
	must.EqError(t, err, "import "+b.small.String()+": rename: busy")
	must.Len(t, 1, b.datasets.Names())

	d.busy = false
	_, err = store.Ensure(t.Context(), b.small, anyImage, nil)
	must.NoError(t, err)
	must.Eq(t, []string{"small_1_0"}, b.datasets.Names()) // what could not be undone is now
}

// stubborn datasets are neither renamed nor destroyed while they are busy.
type stubborn struct {
	*imagetest.Datasets
	busy bool
}

func (s *stubborn) Rename(ctx context.Context, from, to string) error {
	if s.busy {
		return errors.New("rename: busy")
	}
	return s.Datasets.Rename(ctx, from, to)
}

func (s *stubborn) Destroy(ctx context.Context, name string) error {
	if s.busy {
		return errors.New("destroy: busy")
	}
	return s.Datasets.Destroy(ctx, name)
}

// hasty datasets have enough of a stream before it ends.
type hasty struct{ *imagetest.Datasets }

func (h hasty) Receive(ctx context.Context, name string, r io.Reader) error {
	return h.Datasets.Receive(ctx, name, io.LimitReader(r, 20))
}

// A missing file is no missing dataset: errors of the source do not look like
// those of the host.
func TestStore_Ensure_missing(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	_, err := b.Ensure(t.Context(), image.Ref{Source: b.server.URL, Name: "none", Tag: "1"}, anyImage, nil)
	must.EqError(t, err, "fetch "+b.server.URL+"/none_1.xz.skein: 404 Not Found")
	must.ErrorIs(t, err, fs.ErrNotExist)
	must.False(t, image.Retryable(err))
}
