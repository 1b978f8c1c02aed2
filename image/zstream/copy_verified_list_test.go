package zstream

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// copyWithNewList returns what CopyVerified copies of data with a new list.
func copyWithNewList(t testing.TB, data []byte, check func(*Stream) error) ([]byte, error) {
	var out bytes.Buffer
	_, err := CopyVerified(t.Context(), &out, bytes.NewReader(data), Options{SkipMissingOrigins: true, NewList: true}, check)
	return out.Bytes(), err
}

// A list that is written anew has what check left of it, and is one that can be read.
func TestCopyVerified_newList(t *testing.T) {
	leak.Check(t)
	files, err := filepath.Glob("testdata/*.xz")
	must.NoError(t, err)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data := stream(t, filepath.Base(file))
			was, err := Survey(t.Context(), bytes.NewReader(data), Options{})
			must.NoError(t, err)
			out, err := copyWithNewList(t, data, func(*Stream) error { return nil })
			must.NoError(t, err)
			is, err := Survey(t.Context(), bytes.NewReader(out), Options{})
			must.NoError(t, err)
			must.Eq(t, was, is)
			if !was.Package {
				must.True(t, bytes.Equal(data, out))
				return
			}
			out, err = copyWithNewList(t, data, func(s *Stream) error {
				for _, d := range s.Datasets {
					clear(d.Properties)
				}
				return nil
			})
			must.NoError(t, err)
			is, err = Survey(t.Context(), bytes.NewReader(out), Options{})
			must.NoError(t, err)
			for i, d := range is.Datasets {
				must.MapEmpty(t, d.Properties)
				must.Eq(t, was.Datasets[i].Snapshots, d.Snapshots)
				must.Eq(t, was.Datasets[i].Origin, d.Origin)
			}
			must.Eq(t, len(parseTestStream(t, data)), len(parseTestStream(t, out)))
		})
	}
	t.Run("a stream that Write made is as it was", func(t *testing.T) {
		files, err := NewFiles(map[string]string{"a": "b"}, time.Unix(1, 0))
		must.NoError(t, err)
		var made bytes.Buffer
		o := WriteOptions{Dataset: "tank/web", Snapshot: "1", Created: time.Unix(1, 0)}
		_, err = Write(t.Context(), &made, o, FileSystem{Files: files}, FileSystem{Name: "m", Files: files})
		must.NoError(t, err)
		out, err := copyWithNewList(t, made.Bytes(), func(*Stream) error { return nil })
		must.NoError(t, err)
		must.True(t, bytes.Equal(made.Bytes(), out))
	})
	t.Run("one that is not liked: not a byte", func(t *testing.T) {
		out, err := copyWithNewList(t, small(t).encode(), func(*Stream) error { return errors.New("not liked") })
		must.ErrorContains(t, err, "not liked")
		must.SliceEmpty(t, out)
	})
	t.Run("nothing else of the list goes on", func(t *testing.T) {
		e := editList(t, small(t), func(l nvlist) nvlist {
			fs := l.find("fss").(nvlist)[1].value.(nvlist)
			l.find("fss").(nvlist)[1].value = append(fs, nvpair{"unknown", uint64(1)})
			return append(l, nvpair{"fromsnap", "earlier"}, nvpair{"not_recursive", nil})
		})
		out, err := copyWithNewList(t, e.encode(), func(*Stream) error { return nil })
		must.NoError(t, err)
		l, err := unpackNvlist(parseTestStream(t, out)[0].payload)
		must.NoError(t, err)
		must.Eq(t, []string{"tosnap", "fss"}, []string{l[0].name, l[1].name})
		var names []string
		for _, p := range l.find("fss").(nvlist)[1].value.(nvlist) {
			names = append(names, p.name)
		}
		must.Eq(t, []string{"name", "parentfromsnap", "props", "snaps", "snapprops"}, names)
	})
	t.Run("a property that is neither a number nor a text: not a byte", func(t *testing.T) {
		e := editList(t, small(t), func(l nvlist) nvlist {
			fs := l.find("fss").(nvlist)[1].value.(nvlist)
			fs[2].value = nvlist{{"atime", nvlist{{"source", "x"}}}}
			return l
		})
		out, err := copyWithNewList(t, e.encode(), func(*Stream) error { return nil })
		must.ErrorContains(t, err, `dataset "m": property "atime" is neither a number nor a text`)
		must.SliceEmpty(t, out)
	})
}

// A dataset of a package is whole, or a clone of what the list says; and so it is put
// where it says.
func TestCopyVerified_origin(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct {
		edit func(e testStream)
		want string
	}{
		"a clone of nothing": {func(e testStream) { e.at(1, drrBegin, 0).setU32(28, 0xd) }, "it is neither whole nor a clone"},
		"an increment that is a clone": {func(e testStream) { e[e.index(2, drrBegin, 0)].setU32(28, 0xd) },
			"zroot/fx/hello-linux/m@1795390000x is a clone, and its dataset already exists"},
	} {
		t.Run(name, func(t *testing.T) {
			e := packageOfTwo(t, false)
			c.edit(e)
			_, _, err := copyVerified(t, e.encode(), nil)
			must.ErrorContains(t, err, c.want)
		})
	}
	t.Run("snapshots follow each other", func(t *testing.T) {
		data := packageOfTwo(t, false).encode()
		out, _, err := copyVerified(t, data, nil)
		must.NoError(t, err)
		must.True(t, bytes.Equal(data, out))
	})
	t.Run("a clone is of what the list says", func(t *testing.T) {
		e := packageOfTwo(t, true)
		n := e[e.index(3, drrBegin, 0)]
		_, _, err := copyVerified(t, e.encode(), nil)
		must.ErrorContains(t, err, "it is neither whole nor a clone")
		n.setU32(28, 0xd)
		_, _, err = copyVerified(t, e.encode(), nil)
		must.NoError(t, err)
		e = editList(t, e, func(l nvlist) nvlist {
			fs := l.find("fss").(nvlist)[2].value.(nvlist)
			fs[1].value = uint64(99)
			return l
		})
		_, _, err = copyVerified(t, e.encode(), nil)
		must.ErrorContains(t, err, "and the list of the package has it on 0x63")
	})
}
