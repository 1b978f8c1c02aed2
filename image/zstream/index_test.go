package zstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// index is all entries of data, which is on top of the origins.
func index(t testing.TB, data []byte, origins ...[]byte) ([]Entry, *Stream, error) {
	t.Helper()
	var entries []Entry
	scratch := t.TempDir()
	s, err := Index(t.Context(), bytes.NewReader(data), Options{Scratch: scratch, Origins: readers(origins)}, func(e Entry) error {
		entries = append(entries, e)
		return nil
	})
	left, readErr := os.ReadDir(scratch)
	must.NoError(t, readErr)
	must.SliceEmpty(t, left)
	return entries, s, err
}

func readers(all [][]byte) (list []io.Reader) {
	for _, data := range all {
		list = append(list, bytes.NewReader(data))
	}
	return list
}

// TestFixtures reads what FreeBSD made, in all ways, and holds what comes of it to
// what FreeBSD saw: as an index, and as a tree. The later ones of a chain are on
// top of those before.
func TestFixtures(t *testing.T) {
	leak.Check(t)
	for _, chain := range [][]string{
		{"fxdn_1.0"}, {"fxgzip_1.0"}, {"fxzstd_1.0"}, {"fxlce_1.0"}, {"fxrs1mL_1.0"}, {"fxxadir_1.0"}, {"fxsmall_1.0"},
		{"fxsmall_1.0", "fxchild_2.0"}, {"fxsmall_1.0", "fxchild_2.0", "fxgrand_3.1.4"},
	} {
		name := chain[len(chain)-1]
		t.Run(name, func(t *testing.T) {
			var all [][]byte
			for _, name := range chain {
				all = append(all, stream(t, name+".xz"))
			}
			last, origins := all[len(all)-1], all[:len(all)-1]
			want := freebsdFiles(t, name+".json.gz")

			entries, indexed, err := index(t, last, origins...)
			must.NoError(t, err)
			checkIndex(t, want, indexed, entries)

			dir, extracted, err := extract(t, last, Options{Origins: readers(origins)})
			must.NoError(t, err)
			checkTree(t, want, dir)
			must.Eq(t, indexed, extracted)
			names := 0
			for _, d := range extracted.Datasets {
				names += int(d.Files)
			}
			must.Eq(t, names, len(entries)-2, must.Sprint("the roots have no names"))

			surveyed, err := Survey(t.Context(), bytes.NewReader(last), Options{})
			must.NoError(t, err)
			for i := range surveyed.Datasets {
				surveyed.Datasets[i].Files, surveyed.Datasets[i].Bytes = extracted.Datasets[i].Files, extracted.Datasets[i].Bytes
			}
			must.Eq(t, extracted, surveyed)
		})
	}
}

func TestIndex_visit(t *testing.T) {
	leak.Check(t)
	enough := errors.New("enough")
	n := 0
	_, err := Index(t.Context(), bytes.NewReader(smallStream()), Options{Scratch: t.TempDir()}, func(Entry) error {
		if n++; n == 5 {
			return enough
		}
		return nil
	})
	must.ErrorIs(t, err, enough)
	must.Eq(t, 5, n)
}

func TestIndex_cancelled(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Index(ctx, bytes.NewReader(smallStream()), Options{Scratch: t.TempDir()}, func(Entry) error {
		cancel()
		return nil
	})
	must.ErrorIs(t, err, context.Canceled)
}

func TestHead(t *testing.T) {
	leak.Check(t)
	data := bare(t).encode()
	s, err := Head(t.Context(), bytes.NewReader(data[:headerSize]))
	must.NoError(t, err)
	must.Eq(t, "zroot/fx/hello-linux/m", s.Top)
	must.Eq(t, []string{"SA_SPILL"}, s.Features)
	must.Eq(t, 0x479f46be843f4bf3, s.Datasets[0].GUID)
	must.False(t, s.Package)
	_, err = Head(t.Context(), bytes.NewReader(data[:100]))
	must.Error(t, err)
	_, err = Head(t.Context(), bytes.NewReader(withFeature(24)(small(t))[small(t).index(1, drrBegin, 0):].encode()))
	must.ErrorContains(t, err, "record 0 at offset 0: BEGIN: stream features that are not supported: RAW")
}

// TestSurvey_damaged makes sure that a survey tells what is not as it was sent,
// though it looks at no more than the beginnings.
func TestSurvey_damaged(t *testing.T) {
	leak.Check(t)
	data := stream(t, "fxsmall_1.0.xz")
	for _, at := range []int{len(data) / 3, len(data) / 2, len(data) - 2000} {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		_, err := Survey(t.Context(), bytes.NewReader(bad), Options{})
		must.ErrorContains(t, err, "checksum")
		_, err = Survey(t.Context(), bytes.NewReader(data[:at]), Options{})
		must.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	_, err := Survey(t.Context(), bytes.NewReader(data), Options{MaxDatasets: 1})
	must.ErrorContains(t, err, "there are more than 1 datasets")
	_, err = Survey(t.Context(), bytes.NewReader(data), Options{MaxBytes: 1000})
	must.ErrorContains(t, err, "there are more than 1000 bytes of content")
}
