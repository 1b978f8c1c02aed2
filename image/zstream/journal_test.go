package zstream

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// TestKept holds extents to a slice of bytes that the same is done to.
func TestKept(t *testing.T) {
	leak.Check(t)
	const size = 64
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
		must.NoError(t, err)
		j, k, want := newJournal(f), &extentList{}, make([]byte, size)
		for step := range byte(60) {
			from := r.IntN(size)
			to := from + 1 + r.IntN(size-from)
			if r.IntN(3) == 0 {
				k.punch(int64(from), int64(to))
				clear(want[from:to])
			} else {
				data := bytes.Repeat([]byte{step + 1}, to-from)
				must.NoError(t, k.write(j, data, int64(from)))
				copy(want[from:], data)
			}
			for i := 1; i < len(k.extents); i++ {
				must.LessEq(t, k.extents[i].offset, k.extents[i-1].end())
			}
			got := make([]byte, to)
			_, err := extentReader{j, k, size}.ReadAt(got[from:], int64(from))
			must.NoError(t, err)
			must.Eq(t, want[from:to], got[from:])
		}
		got := make([]byte, size+9)
		n, err := extentReader{j, k, size}.ReadAt(got, 0)
		must.EqError(t, err, "EOF")
		must.Eq(t, want, got[:n])
		must.NoError(t, f.Close())
	}
	t.Run("what follows what was written last is of one extent", func(t *testing.T) {
		f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
		must.NoError(t, err)
		defer f.Close()
		j, k := newJournal(f), &extentList{}
		for i := range int64(100) {
			must.NoError(t, k.write(j, make([]byte, 512), i*512))
		}
		must.Len(t, 1, k.extents)
		j.content = maxJournalContent
		must.ErrorContains(t, k.write(j, []byte{1}, 0), "there are more than 1073741824 bytes of directories and the like")
	})
}

func TestKept_parts(t *testing.T) {
	leak.Check(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	must.NoError(t, err)
	defer f.Close()
	j, k := newJournal(f), &extentList{}
	for i := range int64(maxExtents) {
		must.NoError(t, k.write(j, []byte{1}, i*2))
	}
	must.EqError(t, k.write(j, []byte{1}, maxExtents*2), "what it holds is in more than 65536 parts")
}

// TestObjects holds the chunks to a map that the same is done to.
func TestObjects(t *testing.T) {
	leak.Check(t)
	r := rand.New(rand.NewPCG(3, 4))
	var os objset
	want := map[uint64]bool{}
	for range 30_000 {
		n := 1 + r.Uint64N(20_000)
		switch {
		case r.IntN(2000) == 0:
			to := n + r.Uint64N(3000)
			gone := 0
			must.NoError(t, os.remove(n, to, func(o *dnode) error { gone++; must.True(t, want[o.number]); return nil }))
			for i := n; i < to; i++ {
				if want[i] {
					gone--
				}
				delete(want, i)
			}
			must.Eq(t, 0, gone)
		case os.lookup(n) == nil:
			must.False(t, want[n])
			os.add(dnode{number: n})
			want[n] = true
		default:
			must.True(t, want[n])
		}
	}
	last, count := uint64(0), 0
	must.NoError(t, os.each(func(o *dnode) error {
		must.Greater(t, last, o.number)
		if before := os.lastBefore(o.number); last == 0 {
			must.Nil(t, before)
		} else {
			must.Eq(t, last, before.number)
		}
		last = o.number
		count++
		return nil
	}))
	must.Eq(t, len(want), count)
	must.Eq(t, int64(count), os.count)
}
