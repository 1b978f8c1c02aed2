package zstream

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// indexContent is the content that an index tells, by path.
func indexContent(t *testing.T, data []byte, o Options) (map[string]string, *Stream) {
	t.Helper()
	o.Scratch = t.TempDir()
	contents := map[string]string{}
	s, err := Index(t.Context(), bytes.NewReader(data), o, func(e Entry) error {
		if e.Content != nil {
			contents[e.Dataset+":"+e.Path] = string(e.Content)
		}
		return nil
	})
	must.NoError(t, err)
	return contents, s
}

// confFilter keeps what is in the directory conf of a dataset.
func confFilter(dataset string, maxBytes int64) *ContentFilter {
	return &ContentFilter{Dataset: dataset, MaxBytes: maxBytes, Match: func(path string) bool { return strings.HasPrefix(path, "conf/") }}
}

func TestIndex_keep(t *testing.T) {
	leak.Check(t)
	for _, chain := range [][]string{{"fxsmall_1.0"}, {"fxzstd_1.0"}, {"fxsmall_1.0", "fxchild_2.0"}, {"hello-freebsd_1.0"}} {
		name := chain[len(chain)-1]
		t.Run(name+" says what FreeBSD wrote", func(t *testing.T) {
			var all [][]byte
			for _, name := range chain {
				all = append(all, stream(t, name+".xz"))
			}
			dir, _, err := extract(t, all[len(all)-1], Options{Origins: readers(all[:len(all)-1])})
			must.NoError(t, err)
			got, _ := indexContent(t, all[len(all)-1], Options{Origins: readers(all[:len(all)-1]), Content: confFilter("", 1<<20)})
			there, err := os.ReadDir(filepath.Join(dir, "conf"))
			must.NoError(t, err)
			must.Eq(t, len(there), len(got))
			for _, e := range there {
				want, err := os.ReadFile(filepath.Join(dir, "conf", e.Name()))
				must.NoError(t, err)
				must.Eq(t, string(want), got[":conf/"+e.Name()], must.Sprint(e.Name()))
			}
		})
	}
}

func TestIndex_keepBounds(t *testing.T) {
	leak.Check(t)
	text := strings.Repeat("0123456789abcdef", 20_000) // of several blocks
	files := filesOfTar(t, archiveOf(t,
		tar.Header{Name: "conf/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "conf/file", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "conf/link", Typeflag: tar.TypeSymlink, Linkname: "file"},
		tar.Header{Name: "conf/pipe", Typeflag: tar.TypeFifo, Mode: 0o644},
	))
	odd := writeStream(t, files)
	got, _ := indexContent(t, odd, Options{Content: confFilter("m", 1<<20)})
	must.Eq(t, map[string]string{"m:conf/file": "conf/file"}, got)

	small, err := NewFiles(map[string]string{"conf/long": text, "conf/short": text[:600], "other": "x"}, writeOptions.Created)
	must.NoError(t, err)
	data := writeStream(t, small)
	for _, c := range []struct {
		what string
		keep *ContentFilter
		want map[string]string
	}{
		{"nothing is told unless it is asked for", nil, map[string]string{}},
		{"nor of another dataset", confFilter("", 1<<20), map[string]string{":conf/pot.conf": "pot.level=0\n", ":conf/fscomp.conf": ""}},
		{"nor without names", &ContentFilter{Dataset: "m", MaxBytes: 1 << 20}, map[string]string{}},
		{"all that is small enough is", confFilter("m", int64(len(text))), map[string]string{"m:conf/long": text, "m:conf/short": text[:600]}},
		{"what is a byte too large is not", confFilter("m", int64(len(text))-1), map[string]string{"m:conf/short": text[:600]}},
	} {
		t.Run(c.what, func(t *testing.T) {
			got, _ := indexContent(t, data, Options{Content: c.keep})
			must.Eq(t, c.want, got)
		})
	}
}

func TestKeeping_take(t *testing.T) {
	leak.Check(t)
	k := contentReserve{1 << 20, 4096}
	must.False(t, k.reserve(1<<20+1, 512))
	must.False(t, k.reserve(1, 0), must.Sprint("no blocks"))
	must.True(t, k.reserve(513, 512))
	must.Eq(t, 3072, k.room)
	must.False(t, k.reserve(1, 128<<10), must.Sprint("a block that is larger than the room"))
	must.True(t, k.reserve(3072, 512))
	must.False(t, k.reserve(1, 512))
	must.True(t, k.reserve(0, 512), must.Sprint("an empty one needs no room"))
	must.False(t, (&contentReserve{}).reserve(0, 512))
}

// A file that was too large, and shrinks, has lost what did not change.
func TestIndex_keepShrunk(t *testing.T) {
	leak.Check(t)
	s := &stage{withoutContent: true, contentReserve: contentReserve{100, 4096}}
	s.objects.add(dnode{number: 7, typ: typePlainFile, storage: notStored, blockSize: 512})
	must.Eq(t, notStored, s.storageOf(&dnode{number: 7, typ: typePlainFile, bonusType: typeZnode, blockSize: 512}, make([]byte, znodeSize)))
	must.Eq(t, storedInJournal, s.storageOf(&dnode{number: 8, typ: typePlainFile, bonusType: typeZnode, blockSize: 512}, make([]byte, znodeSize)))
}

func TestIndex_skipLayers(t *testing.T) {
	leak.Check(t)
	child := stream(t, "fxchild_2.0.xz")
	_, _, err := index(t, child)
	must.ErrorIs(t, err, ErrNoOrigin)

	seen := map[string]int{}
	s, err := Index(t.Context(), bytes.NewReader(child), Options{Scratch: t.TempDir(), SkipMissingOrigins: true}, func(e Entry) error {
		seen[e.Dataset]++
		return nil
	})
	must.NoError(t, err)
	must.Len(t, 2, s.Datasets)
	must.Eq(t, int64(seen[""]-1), s.Datasets[0].Files)
	must.Eq(t, 0, seen["m"])
	must.Eq(t, 0, s.Datasets[1].Files)
	must.NotEq(t, 0, s.Datasets[1].FromGUID)
}
