package zstream

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// copyVerified returns what CopyVerified copies of data.
func copyVerified(t testing.TB, data []byte, check func(*Stream) error) ([]byte, *Stream, error) {
	if check == nil {
		check = func(*Stream) error { return nil }
	}
	var out bytes.Buffer
	s, err := CopyVerified(t.Context(), &out, bytes.NewReader(data), Options{SkipMissingOrigins: true}, check)
	return out.Bytes(), s, err
}

// A stream that is good passes as it is, and one that is not never comes to its end.
func TestCopyVerified(t *testing.T) {
	leak.Check(t)
	good := stream(t, "plain_1.0.xz")
	t.Run("a good one", func(t *testing.T) {
		var seen *Stream
		out, s, err := copyVerified(t, good, func(head *Stream) error {
			seen = head
			return nil
		})
		must.NoError(t, err)
		must.True(t, bytes.Equal(good, out))
		must.True(t, seen.Package)
		must.Len(t, 2, seen.Datasets)
		must.Len(t, 2, s.Datasets)
		must.MapContainsKey(t, seen.Datasets[0].Properties, "compression")
	})
	t.Run("one whose list is not liked: not a byte", func(t *testing.T) {
		out, _, err := copyVerified(t, good, func(*Stream) error { return errors.New("not liked") })
		must.ErrorContains(t, err, "not liked")
		must.SliceEmpty(t, out)
	})
	t.Run("one whose list is damaged: not a byte, and nobody is asked", func(t *testing.T) {
		bad := bytes.Clone(good)
		at := bytes.Index(bad, []byte("fromsnap"))
		if at < 0 {
			at = headerSize + 100
		}
		bad[at] ^= 0x20
		out, _, err := copyVerified(t, bad, func(*Stream) error { panic("asked") })
		must.Error(t, err)
		must.SliceEmpty(t, out)
	})
	t.Run("one that is cut, anywhere: not its end", func(t *testing.T) {
		for n := 0; n < len(good); n += len(good)/60 + 1 {
			out, _, err := copyVerified(t, good[:n], nil)
			must.Error(t, err)
			must.Less(t, max(n, 1), len(out))
			must.True(t, bytes.HasPrefix(good, out))
		}
	})
	t.Run("one that is damaged, anywhere: not its end, and nothing that is damaged", func(t *testing.T) {
		for n := 0; n < len(good); n += len(good)/60 + 1 {
			bad := bytes.Clone(good)
			bad[n] ^= 1
			out, _, err := copyVerified(t, bad, nil)
			must.Error(t, err, must.Sprint(n))
			must.True(t, bytes.HasPrefix(good, out), must.Sprint(n))
		}
	})
	t.Run("one with a record that nobody sends: not that record, though its checksum holds", func(t *testing.T) {
		e := small(t)
		bad := e.index(1, drrObject, passwd)
		e[bad].setU32(16, 700)
		out, _, err := copyVerified(t, e.encode(), nil)
		must.ErrorContains(t, err, "blocks of 700 bytes cannot be")
		must.Eq(t, len(e[:bad].encode()), len(out))
	})
	t.Run("one with a name that leads out: not the end of its dataset", func(t *testing.T) {
		e := small(t)
		e.at(1, drrWrite, etcDir).setName(0, "../x")
		out, _, err := copyVerified(t, e.encode(), nil)
		must.ErrorContains(t, err, `a name with / or NUL in it: "../x"`)
		must.Eq(t, len(e[:e.index(1, drrEnd, 0)].encode()), len(out))
	})
	t.Run("one with a name that Visit does not like: likewise", func(t *testing.T) {
		e := small(t)
		var out bytes.Buffer
		_, err := CopyVerified(t.Context(), &out, bytes.NewReader(e.encode()), Options{Visit: func(found Entry) error {
			if found.Dataset == "m" && found.Path == "etc/passwd" {
				return errors.New("not liked")
			}
			return nil
		}}, func(*Stream) error { return nil })
		must.ErrorContains(t, err, "not liked")
		must.Eq(t, len(e[:e.index(1, drrEnd, 0)].encode()), out.Len())
	})
	t.Run("one with another behind it: not its end", func(t *testing.T) {
		out, _, err := copyVerified(t, append(bytes.Clone(good), good...), nil)
		must.ErrorContains(t, err, "more follows it")
		must.Less(t, len(good), len(out))
	})
	t.Run("who does not take it is an error", func(t *testing.T) {
		r, w := io.Pipe()
		r.CloseWithError(errors.New("gone"))
		_, err := CopyVerified(t.Context(), w, bytes.NewReader(good), Options{}, func(*Stream) error { return nil })
		must.ErrorContains(t, err, "gone")
	})
}

func TestCopyVerified_byteOrder(t *testing.T) {
	leak.Check(t)
	err := (&verifiedCopy{}).begin(beginRecord{order: byteOrder{big: !hostIsBigEndian}}, nil)
	must.EqError(t, err, "it has another byte order than this machine: a kernel must not receive it")
}

// Entries that a kernel takes for the same.
func TestMicroOrder(t *testing.T) {
	leak.Check(t)
	m := mzapIndex{salt: 7, norm: normUpper, keys: map[uint64]bool{}}
	must.NoError(t, m.add([]byte("name"), 0))
	must.NoError(t, m.add([]byte("other"), 0))
	must.NoError(t, m.add([]byte("name"), 1))
	must.EqError(t, m.add([]byte("NAME"), 1), "ZAP: two names of one hash and one number")
}

// What this machine's tests have of each kind of stream passes.
func TestCopyVerified_all(t *testing.T) {
	leak.Check(t)
	files, err := filepath.Glob("testdata/*.xz")
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data := stream(t, filepath.Base(file))
			out, _, err := copyVerified(t, data, nil)
			must.NoError(t, err)
			must.True(t, bytes.Equal(data, out))
		})
	}
}
