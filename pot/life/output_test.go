package life

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/supervise"
)

// A follower reads the files of an output in the order in which they were written.
func TestFollowFile(t *testing.T) {
	leak.Check(t)
	name := filepath.Join(t.TempDir(), "stdout.log")
	write := func(text string) { must.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	rotate := func() { must.NoError(t, os.Rename(name, name+supervise.RotatedSuffix)) }
	follow := func(to *strings.Builder) {
		ended := make(chan struct{})
		close(ended) // to read what there is, once
		if f := successor(name, nil); f != nil {
			followFile(name, f, to, ended)
		}
	}
	var got strings.Builder
	follow(&got)
	must.Eq(t, "", got.String(), must.Sprint("no file yet"))
	write("one ")
	rotate()
	write("two ")
	follow(&got)
	must.Eq(t, "one two ", got.String())

	t.Run("a follower that is behind goes on with the older of the files that are left", func(t *testing.T) {
		first := successor(name, nil)
		must.NotNil(t, first)
		defer first.Close()
		rotate()
		write("three ")
		second := successor(name, first)
		must.NotNil(t, second)
		defer second.Close()
		rotate()
		write("four ")
		rotate()
		write("five ")
		third := successor(name, second)
		must.NotNil(t, third)
		defer third.Close()
		text, err := os.ReadFile(name + supervise.RotatedSuffix)
		must.NoError(t, err)
		must.Eq(t, "four ", string(text))
		older, err := os.Open(name + supervise.RotatedSuffix)
		must.NoError(t, err)
		defer older.Close()
		must.True(t, sameFile(third, older))
		last := successor(name, third)
		must.NotNil(t, last)
		defer last.Close()
		must.Nil(t, successor(name, last))
	})
	t.Run("between two files there is nothing more to read", func(t *testing.T) {
		last := successor(name, nil)
		defer last.Close()
		must.NoError(t, os.Remove(name))
		must.Nil(t, successor(name, last))
	})
}

// The last lines of a log may be in both of its files.
func TestCopyTail(t *testing.T) {
	leak.Check(t)
	name := filepath.Join(t.TempDir(), "stdout.log")
	must.Nil(t, copyTail(name, new(strings.Builder), -1), must.Sprint("no file yet"))
	must.NoError(t, os.WriteFile(name+supervise.RotatedSuffix, []byte("one\ntwo\n"), 0o600))
	must.NoError(t, os.WriteFile(name, []byte("three\nfour"), 0o600))
	for lines, want := range map[int]string{-1: "one\ntwo\nthree\nfour", 0: "", 1: "four", 2: "three\nfour", 3: "two\nthree\nfour", 9: "one\ntwo\nthree\nfour"} {
		var got strings.Builder
		f := copyTail(name, &got, lines)
		must.NotNil(t, f)
		must.Eq(t, want, got.String(), must.Sprint(lines))
		at, err := f.Seek(0, io.SeekCurrent)
		must.NoError(t, err)
		must.Eq(t, int64(len("three\nfour")), at, must.Sprint("open at its end"))
		must.NoError(t, f.Close())
	}
}
