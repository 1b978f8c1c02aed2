package store_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
)

// hostileRig is where hostile images are imported: with one in it that is good.
type hostileRig struct {
	server *imagetest.Server
	cache  string
	state  func(t *testing.T) any // of the datasets
	*store.Store
}

// hostileMaxTree is for all of them, and enough for the good one.
const hostileMaxTree = 8 << 20

func newHostileRig(t *testing.T, d store.Datasets, state func(t *testing.T) any) *hostileRig {
	r := &hostileRig{cache: t.TempDir(), state: state}
	leak.Check(t)
	r.server = imagetest.NewServer(t)
	r.server.Add("kept", "1.0", imagetest.XZ(imagetest.Stream("kept")), imagetest.NoMeta)
	r.Store = store.NewStore(fetch.NewCache(r.cache, fetch.Options{MaxTreeBytes: hostileMaxTree}), d)
	_, err := r.Ensure(t.Context(), image.Ref{Source: r.server.URL, Name: "kept", Tag: "1.0"}, anyImage, nil)
	must.NoError(t, err)
	return r
}

// refused imports bad:1.0 and returns its error, which must not be one to try again
// after, with REF for the reference and SRC for the server. All is as it was, but
// that the cache may have the files, which are what their digest says.
func (r *hostileRig) refused(t *testing.T) string {
	t.Helper()
	files := func() map[string]string {
		all := imagetest.Files(t, r.cache)
		for _, suffix := range []string{"", ".meta", ".skein"} {
			delete(all, "bad_1.0.xz"+suffix)
			must.NoError(t, os.RemoveAll(filepath.Join(r.cache, "bad_1.0.xz"+suffix)))
		}
		return all
	}
	before, sets := files(), r.state(t)
	ref := image.Ref{Source: r.server.URL, Name: "bad", Tag: "1.0"}
	_, err := r.Ensure(t.Context(), ref, anyImage, nil)
	must.Error(t, err)
	must.False(t, image.Retryable(err), must.Sprint(err))
	must.Eq(t, before, files())
	left, globErr := filepath.Glob(filepath.Join(r.cache, ".*"))
	must.NoError(t, globErr)
	must.SliceEmpty(t, left)
	must.Eq(t, sets, r.state(t))
	return strings.NewReplacer(ref.String(), "REF", r.server.URL, "SRC").Replace(err.Error())
}

// hostileStreams imports all of the corpus: each is refused, with words of its own.
func hostileStreams(t *testing.T, r *hostileRig) {
	said := map[string]string{}
	for _, c := range hostileAll() {
		t.Run(c.name, func(t *testing.T) {
			r.server.Add("bad", "1.0", imagetest.XZ(c.stream()), imagetest.NoMeta)
			got := r.refused(t)
			must.StrHasPrefix(t, "import REF: ", got)
			must.StrContains(t, got, c.want)
			must.Eq(t, "", said[got], must.Sprint("another case has the same error: ", got))
			said[got] = c.name
		})
	}
}

// The stream that the corpus is made of is imported as it is.
func TestStore_Ensure_good(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	b.server.Add("bad", "1.0", imagetest.XZ(hostileGood()), imagetest.NoMeta)
	_, err := b.Ensure(t.Context(), image.Ref{Source: b.server.URL, Name: "bad", Tag: "1.0"}, anyImage, nil)
	must.NoError(t, err)
	must.Eq(t, hostileGood(), b.datasets.StreamOf("bad_1_0"))
}

// An image of a dataset that normalizes names, or to which the case of letters is one.
func TestStore_Ensure_normalized(t *testing.T) {
	leak.Check(t)
	for _, flags := range []uint64{0x10, 0x20, 0x50, 0x60, 0x02, 0x52} {
		b := newRig(t)
		s := hostileSplit(hostileGood())
		binary.LittleEndian.PutUint64(s.at(drrWrite, 6).payload[16:], flags)
		s.rename("big", "b\u00efg")
		b.server.Add("bad", "1.0", imagetest.XZ(s.seal()), imagetest.NoMeta)
		_, err := b.Ensure(t.Context(), image.Ref{Source: b.server.URL, Name: "bad", Tag: "1.0"}, anyImage, nil)
		must.NoError(t, err)
	}
}

// What is refused does not depend on the host: this one would take anything that has
// an end, and of none of these it sees that.
func TestStore_Ensure_hostile(t *testing.T) {
	leak.Check(t)
	d := imagetest.NewDatasets()
	r := newHostileRig(t, d, func(*testing.T) any { return d.Names() })
	hostileStreams(t, r)
	hostileArtifacts(t, r)
	must.Eq(t, 1, d.Received())
}
