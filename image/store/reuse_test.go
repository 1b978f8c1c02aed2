package store_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
)

// otherImage has the name of smallImage, and another digest.
var otherImage = imagetest.XZ(imagetest.Stream("other"))

// mirror is another server, which serves small:1.0 as those bytes.
func mirror(t *testing.T, xz []byte) (*imagetest.Server, image.Ref) {
	t.Helper()
	server := imagetest.NewServer(t)
	server.Add("small", "1.0", xz, imagetest.NoMeta)
	return server, image.Ref{Source: server.URL, Name: "small", Tag: "1.0"}
}

// A dataset that is no image is not started from, whatever a job calls it.
func TestStore_Ensure_notImage(t *testing.T) {
	leak.Check(t)
	received := imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta)).String() + " 1 2"
	pot := "it is a pot of this host, and is not an image; "
	for name, c := range map[string]struct {
		labels map[string]string
		want   string
		local  bool // it is one where that is allowed
	}{
		"a task's pot":             {labels: map[string]string{store.LabelTask: "x", "nomad.pot:alloc": "y"}, want: "it is the pot of a task"},
		"a task's pot with a ref":  {labels: map[string]string{store.LabelTask: "x", store.LabelRef: source + "/small:1.0"}, want: "it is the pot of a task"},
		"an operator's pot":        {want: pot, local: true},
		"a pot that was exported":  {labels: map[string]string{"nomad.pot:tag": "1.0"}, want: pot, local: true},
		"half of a task's pot":     {labels: map[string]string{store.LabelAlloc: "y"}, want: "it is the pot of a task"},
		"a pot that was an image":  {labels: map[string]string{store.LabelReceived: received}, want: "it is a pot that was imported by hand and may have been changed since, and is not an image any more; ", local: true},
		"a pot with others' marks": {labels: map[string]string{":pot.tag": "1.0"}, want: pot, local: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, opts := range []image.PullOptions{{}, {ForcePull: true}, {Digest: imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta))}, {Local: true}} {
				b := newRig(t)
				b.datasets.Put("small_1_0", c.labels)
				got, err := b.Ensure(t.Context(), b.small, opts, nil)
				if c.local && opts.Local {
					must.NoError(t, err)
					must.Eq(t, store.Imported{Name: "small_1_0"}, got)
					continue
				}
				must.ErrorIs(t, err, store.ErrNotImage)
				must.ErrorContains(t, err, "use image small_1_0: "+c.want)
				must.False(t, image.Retryable(err))
				must.Eq(t, []string{"small_1_0"}, b.datasets.Names())
			}
		})
	}
	t.Run("nor layered on", func(t *testing.T) {
		b := newRig(t)
		b.datasets.Put("small_1_0", map[string]string{store.LabelTask: "x"})
		b.server.Add("child", "1.0", otherImage, "small:1.0@1700000000\n")
		_, err := b.Ensure(t.Context(), image.Ref{Source: b.server.URL, Name: "child", Tag: "1.0"}, anyImage, nil)
		must.ErrorIs(t, err, store.ErrNotImage)
		must.ErrorContains(t, err, "layered on "+b.small.String()+": use image small_1_0: it is the pot of a task")
	})
	t.Run("names of imports under way", func(t *testing.T) {
		_, err := newRig(t).Ensure(t.Context(), image.Ref{Source: source, Name: "_import-1-2", Tag: "1"}, anyImage, nil)
		must.ErrorContains(t, err, `name: must not begin with "_import-"`)
	})
}

// A pot that a person imported is the image until it is changed, also when its source
// cannot be asked.
func TestStore_Ensure_byHand(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	own, err := b.Ensure(t.Context(), b.small, image.PullOptions{AsPot: true}, nil)
	must.NoError(t, err)
	must.NoError(t, b.datasets.SetLabels(t.Context(), "small_1_0", map[string]string{store.LabelImported: b.small.String()}))
	for _, opts := range []image.PullOptions{{}, {Digest: own.Digest}, {ForcePull: true}} {
		got, err := b.Ensure(t.Context(), b.small, opts, nil)
		must.NoError(t, err)
		must.Eq(t, own, got)
	}
	none := image.Ref{Source: b.server.URL + "/none", Name: "small", Tag: "1.0"}
	b.server.Remove("small_1.0.xz.skein")
	got, err := b.Ensure(t.Context(), none, anyImage, nil)
	must.NoError(t, err)
	must.Eq(t, own, got)
	_, other := mirror(t, otherImage)
	got, err = b.Ensure(t.Context(), other, anyImage, nil)
	must.NoError(t, err)
	must.Eq(t, imagetest.Digest(t, otherImage, []byte(imagetest.NoMeta)), got.Digest)

	must.NoError(t, b.datasets.Clear("small_1_0", store.LabelImported))
	_, err = b.Ensure(t.Context(), b.small, anyImage, nil)
	must.ErrorIs(t, err, store.ErrNotImage)
}

// The same bytes are the same image wherever they come from: no more than their digest is
// fetched.
func TestStore_Ensure_moved(t *testing.T) {
	leak.Check(t)
	for name, opts := range map[string]image.PullOptions{"": {}, ", and is asked again": {ForcePull: true}} {
		t.Run("a registry that has moved"+name, func(t *testing.T) {
			b := newRig(t)
			first, err := b.Ensure(t.Context(), b.small, anyImage, nil)
			must.NoError(t, err)
			b.datasets.Busy = map[string]bool{"small_1_0": true}
			server, moved := mirror(t, smallImage)
			got, err := b.Ensure(t.Context(), moved, opts, nil)
			must.NoError(t, err)
			must.Eq(t, first, got)
			must.Eq(t, 1, server.Gets("small_1.0.xz.skein"))
			must.Eq(t, 0, server.Gets("small_1.0.xz"))

			// It is known from then on: neither server needs to be there.
			server.Remove("small_1.0.xz.skein")
			b.server.Remove("small_1.0.xz.skein")
			for _, ref := range []image.Ref{moved, b.small} {
				got, err := b.Ensure(t.Context(), ref, anyImage, nil)
				must.NoError(t, err)
				must.Eq(t, first, got)
			}
		})
		t.Run("other bytes are beside the first"+name, func(t *testing.T) {
			b := newRig(t)
			first, err := b.Ensure(t.Context(), b.small, anyImage, nil)
			must.NoError(t, err)
			b.datasets.Busy = map[string]bool{"small_1_0": true}
			_, ref := mirror(t, otherImage)
			other, err := b.Ensure(t.Context(), ref, opts, nil)
			must.NoError(t, err)
			want := imagetest.Digest(t, otherImage, []byte(imagetest.NoMeta))
			must.Eq(t, store.Imported{Name: store.Beside(ref, want), Digest: want}, other)
			must.Eq(t, []string{"small_1_0", other.Name}, b.datasets.Names())
			idle, err := b.datasets.Idle(t.Context(), store.LabelRef) // so that it is collected
			must.NoError(t, err)
			must.Eq(t, []string{other.Name}, idle)
			for range 2 {
				got, err := b.Ensure(t.Context(), ref, anyImage, nil)
				must.NoError(t, err)
				must.Eq(t, other, got)
				got, err = b.Ensure(t.Context(), b.small, anyImage, nil)
				must.NoError(t, err)
				must.Eq(t, first, got)
			}
			must.Eq(t, 2, b.datasets.Received())

			// The first may go before it.
			must.NoError(t, b.datasets.Destroy(t.Context(), "small_1_0"))
			got, err := b.Ensure(t.Context(), ref, anyImage, nil)
			must.NoError(t, err)
			must.Eq(t, other, got)
		})
	}
	t.Run("a host is the same in other letters, and with its port", func(t *testing.T) {
		b := newRig(t)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		same := b.small
		same.Source = strings.Replace(same.Source, "http://", "HTTP://", 1) + "/"
		b.server.Remove("small_1.0.xz.skein")
		_, err = b.Ensure(t.Context(), same, anyImage, nil)
		must.NoError(t, err)
	})
	t.Run("names that are joined to one", func(t *testing.T) {
		b := newRig(t)
		one, two := image.Ref{Source: b.server.URL, Name: "a", Tag: "b_c"}, image.Ref{Source: b.server.URL, Name: "a_b", Tag: "c"}
		b.server.Add("a", "b_c", smallImage, imagetest.NoMeta)
		first, err := b.Ensure(t.Context(), one, anyImage, nil)
		must.NoError(t, err)
		b.server.Add("a_b", "c", otherImage, imagetest.NoMeta)
		second, err := b.Ensure(t.Context(), two, anyImage, nil)
		must.NoError(t, err)
		must.Eq(t, "a_b_c", first.Name)
		must.Eq(t, imagetest.Digest(t, otherImage, []byte(imagetest.NoMeta)), second.Digest)
		must.NotEq(t, first.Name, second.Name)
	})
	t.Run("a long name has room for a digest", func(t *testing.T) {
		long := image.Ref{Source: source, Name: strings.Repeat("n", 100), Tag: strings.Repeat("t", 59)}
		must.NoError(t, long.Validate())
		must.LessEq(t, len(long.Dataset()), len(store.Beside(long, image.Digest{})))
	})
}

// Two exports of one snapshot cannot be beside each other: the first makes room, or what
// holds it is told.
func TestStore_Ensure_replaced(t *testing.T) {
	leak.Check(t)
	again := imagetest.XZ(forged("other", 1, guidOf(imagetest.Stream("small"))))
	t.Run("when nothing is cloned from it", func(t *testing.T) {
		b := newRig(t)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		_, ref := mirror(t, again)
		got, err := b.Ensure(t.Context(), ref, anyImage, nil)
		must.NoError(t, err)
		must.Eq(t, imagetest.Digest(t, again, []byte(imagetest.NoMeta)), got.Digest)
		must.Eq(t, []string{got.Name}, b.datasets.Names())
	})
	t.Run("not before", func(t *testing.T) {
		b := newRig(t)
		first, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		b.datasets.Busy = map[string]bool{"small_1_0": true}
		_, ref := mirror(t, again)
		_, err = b.Ensure(t.Context(), ref, anyImage, nil)
		must.ErrorContains(t, err, "replace image small_1_0: pots are cloned from it, and it cannot be beside the new image: ")
		must.True(t, image.Retryable(err))
		got, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		must.Eq(t, first, got)
	})
	t.Run("the name beside it is something else's", func(t *testing.T) {
		b := newRig(t)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		_, ref := mirror(t, otherImage)
		beside := store.Beside(ref, imagetest.Digest(t, otherImage, []byte(imagetest.NoMeta)))
		b.datasets.Put(beside, nil)
		for _, opts := range []image.PullOptions{{}, {Local: true}, {Digest: imagetest.Digest(t, otherImage, []byte(imagetest.NoMeta))}} {
			_, err = b.Ensure(t.Context(), ref, opts, nil)
			must.ErrorContains(t, err, "keep image "+ref.String()+" as dataset "+beside+": another image is small_1_0, and something else has this name")
			must.True(t, image.Retryable(err))
		}
		must.Eq(t, []string{"small_1_0", beside}, b.datasets.Names())
	})
}

// asks is a guard that wants a bearer token.
func asks(token string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+token }
}

// An image that needed credentials is for those to whom a server gives it, and a digest
// is not it.
func TestStore_Ensure_private(t *testing.T) {
	leak.Check(t)
	login := image.PullOptions{Credentials: image.Credentials{Token: "t"}}
	private := func(t *testing.T) (*rig, store.Imported) {
		b := newRig(t)
		b.server.Guard(asks("t"))
		first, err := b.Ensure(t.Context(), b.small, login, nil)
		must.NoError(t, err)
		return b, first
	}
	pinned := image.PullOptions{Digest: imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta))}
	for name, opts := range map[string]image.PullOptions{
		"any": {}, "pinned": pinned, "again": {ForcePull: true}, "with credentials of its own": {Credentials: image.Credentials{Token: "mine"}},
		"with the very credentials": login, "local": {Local: true},
	} {
		t.Run("a server that has its digest alone: "+name, func(t *testing.T) {
			for _, restart := range []bool{false, true} {
				b, _ := private(t)
				if restart {
					b.Store = store.NewStore(fetch.NewCache(b.cache, fetch.Options{}), b.datasets)
				}
				server, ref := mirror(t, smallImage)
				server.Remove("small_1.0.xz")
				_, err := b.Ensure(t.Context(), ref, opts, nil)
				must.EqError(t, err, "fetch "+server.URL+"/small_1.0.xz: 404 Not Found")

				must.NoError(t, b.datasets.Destroy(t.Context(), "small_1_0")) // it is in the cache
				_, err = b.Ensure(t.Context(), ref, opts, nil)
				must.EqError(t, err, "fetch "+server.URL+"/small_1.0.xz: 404 Not Found")
				must.SliceEmpty(t, b.datasets.Names())
			}
		})
		t.Run("a server that has other bytes by that digest: "+name, func(t *testing.T) {
			b, _ := private(t)
			server, ref := mirror(t, smallImage)
			server.Put("small_1.0.xz", otherImage)
			_, err := b.Ensure(t.Context(), ref, opts, nil)
			var bad *image.DigestError
			must.True(t, errors.As(err, &bad), must.Sprint(err))
		})
		t.Run("a server that has it: "+name, func(t *testing.T) {
			b, first := private(t)
			server, ref := mirror(t, smallImage)
			for range 2 {
				got, err := b.Ensure(t.Context(), ref, opts, nil)
				must.NoError(t, err)
				must.Eq(t, first, got)
			}
			must.Eq(t, 1, b.datasets.Received())
			must.LessEq(t, 2, server.Gets("small_1.0.xz"))
			// It was delivered by that server to one who asked that, and by no other.
			third, other := mirror(t, smallImage)
			third.Remove("small_1.0.xz")
			_, err := b.Ensure(t.Context(), other, anyImage, nil)
			must.ErrorContains(t, err, "404 Not Found")
			_, err = b.Ensure(t.Context(), b.small, anyImage, nil)
			must.ErrorContains(t, err, "401 Unauthorized")
		})
	}
	t.Run("another path of its server", func(t *testing.T) {
		b, _ := private(t)
		b.server.Guard(func(r *http.Request) bool {
			return asks("t")(r) || strings.HasPrefix(r.URL.Path, "/public/") && strings.HasSuffix(r.URL.Path, ".skein")
		})
		ref := b.small
		ref.Source = strings.TrimSuffix(b.server.URL, "/pots") + "/public"
		_, err := b.Ensure(t.Context(), ref, anyImage, nil)
		must.ErrorContains(t, err, "401 Unauthorized")
	})
	t.Run("a directory with its digest", func(t *testing.T) {
		b, _ := private(t)
		dir := t.TempDir()
		writeFile(t, dir, "small_1.0.xz.skein", imagetest.Skein(smallImage, []byte(imagetest.NoMeta)))
		writeFile(t, dir, "small_1.0.xz.meta", []byte(imagetest.NoMeta))
		ref := image.Ref{Source: "file://" + dir, Name: "small", Tag: "1.0"}
		for _, opts := range []image.PullOptions{{}, pinned} {
			_, err := b.Ensure(t.Context(), ref, opts, nil)
			must.ErrorContains(t, err, "small_1.0.xz: no such file or directory")
		}
	})
	t.Run("its own server shows the digest to all", func(t *testing.T) {
		b, first := private(t)
		b.server.Guard(func(r *http.Request) bool { return asks("t")(r) || !strings.HasSuffix(r.URL.Path, ".xz") })
		for _, opts := range []image.PullOptions{{}, pinned, {ForcePull: true}, {Credentials: image.Credentials{Token: "x"}}, {Credentials: image.Credentials{Token: "x"}, AuthSoftFail: true}} {
			_, err := b.Ensure(t.Context(), b.small, opts, nil)
			must.ErrorContains(t, err, "401 Unauthorized")
		}
		b.server.Guard(nil)
		b.server.Fail("small_1.0.xz", imagetest.WebPage()) // to log in on
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.ErrorContains(t, err, "not an xz file")
		b.server.Fail("small_1.0.xz", nil)
		got, err := b.Ensure(t.Context(), b.small, anyImage, nil) // it is for all by now
		must.NoError(t, err)
		must.Eq(t, first, got)
	})
	t.Run("its server serves another image by now", func(t *testing.T) {
		b, first := private(t)
		b.server.Add("small", "1.0", otherImage, imagetest.NoMeta)
		got, err := b.Ensure(t.Context(), b.small, login, nil)
		must.NoError(t, err)
		must.NotEq(t, first, got)
	})
	t.Run("an earlier version's mark in the cache", func(t *testing.T) {
		b, _ := private(t)
		writeFile(t, b.cache, "small_1.0.xz.private", nil)
		must.NoError(t, b.datasets.Destroy(t.Context(), "small_1_0"))
		server, ref := mirror(t, smallImage)
		server.Remove("small_1.0.xz")
		_, err := b.Ensure(t.Context(), ref, pinned, nil)
		must.ErrorContains(t, err, "404 Not Found")
		_, err = b.Ensure(t.Context(), b.small, login, nil)
		must.NoError(t, err)
	})
	t.Run("at the same time", func(t *testing.T) {
		b := newRig(t)
		b.server.Guard(asks("t"))
		var good, bad error
		var both sync.WaitGroup
		both.Go(func() { _, good = b.Ensure(t.Context(), b.small, login, nil) })
		both.Go(func() {
			_, bad = b.Ensure(t.Context(), b.small, image.PullOptions{Credentials: image.Credentials{Token: "x"}}, nil)
		})
		both.Wait()
		must.NoError(t, good)
		must.ErrorContains(t, bad, "401 Unauthorized")
	})
}

// What is layered on an image that needed credentials holds all of that.
func TestStore_Ensure_privateOrigin(t *testing.T) {
	leak.Check(t)
	add := func(s *imagetest.Server) (base, child image.Ref) {
		s.Add("fxsmall", "1.0", imagetest.XZ(layerStream(t, "fxsmall_1.0.xz")), imagetest.NoMeta)
		s.Add("fxchild", "2.0", imagetest.XZ(layerStream(t, "fxchild_2.0.xz")), "fxsmall:1.0@1795391932\n")
		return image.Ref{Source: s.URL, Name: "fxsmall", Tag: "1.0"}, image.Ref{Source: s.URL, Name: "fxchild", Tag: "2.0"}
	}
	b := newRig(t)
	base, child := add(b.server)
	b.server.Guard(asks("t"))
	login := image.PullOptions{Credentials: image.Credentials{Token: "t"}}
	first, err := b.Ensure(t.Context(), child, login, nil)
	must.NoError(t, err)
	again, err := b.Ensure(t.Context(), child, login, nil)
	must.NoError(t, err)
	must.Eq(t, first, again)

	b.server.Guard(func(r *http.Request) bool { return asks("t")(r) || strings.Contains(r.URL.Path, "/fxchild_") })
	for _, labelled := range []bool{true, false} { // as an earlier version left it
		if !labelled {
			must.NoError(t, b.datasets.Clear(first.Name, store.LabelOrigin))
		}
		for _, opts := range []image.PullOptions{{}, {Digest: first.Digest}} {
			_, err = b.Ensure(t.Context(), child, opts, nil)
			must.ErrorContains(t, err, base.File())
			must.ErrorContains(t, err, "401 Unauthorized")
		}
	}

	other := imagetest.NewServer(t)
	base, child = add(other)
	other.Remove(base.File())
	_, err = b.Ensure(t.Context(), child, anyImage, nil)
	must.EqError(t, err, "fetch "+other.URL+"/fxsmall_1.0.xz: 404 Not Found")
	_, child = add(other)
	got, err := b.Ensure(t.Context(), child, anyImage, nil)
	must.NoError(t, err)
	must.Eq(t, first, got)
	must.Eq(t, []string{"fxchild_2_0", "fxsmall_1_0"}, b.datasets.Names())
}

// writeFile writes a file of an image.
func writeFile(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	must.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
}
