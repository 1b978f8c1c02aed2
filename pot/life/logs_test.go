package life

import (
	"context"
	"errors"
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
	dir, name := logDirectory(t)
	write := func(text string) { must.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	rotate := func() { must.NoError(t, os.Rename(name, name+supervise.RotatedSuffix)) }
	follow := func(to *strings.Builder) {
		ended := make(chan struct{})
		close(ended) // to read what there is, once
		if f := successor(dir, "stdout.log", nil); f != nil {
			o := logTail{"stdout.log", f, to}
			must.NoError(t, o.follow(dir, ended))
			must.NoError(t, o.newest.Close())
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
		first := successor(dir, "stdout.log", nil)
		must.NotNil(t, first)
		defer first.Close()
		rotate()
		write("three ")
		second := successor(dir, "stdout.log", first)
		must.NotNil(t, second)
		defer second.Close()
		rotate()
		write("four ")
		rotate()
		write("five ")
		third := successor(dir, "stdout.log", second)
		must.NotNil(t, third)
		defer third.Close()
		text, err := os.ReadFile(name + supervise.RotatedSuffix)
		must.NoError(t, err)
		must.Eq(t, "four ", string(text))
		older, err := os.Open(name + supervise.RotatedSuffix)
		must.NoError(t, err)
		defer older.Close()
		must.True(t, sameFile(third, older))
		last := successor(dir, "stdout.log", third)
		must.NotNil(t, last)
		defer last.Close()
		must.Nil(t, successor(dir, "stdout.log", last))
	})
	t.Run("between two files there is nothing more to read", func(t *testing.T) {
		last := successor(dir, "stdout.log", nil)
		defer last.Close()
		must.NoError(t, os.Remove(name))
		must.Nil(t, successor(dir, "stdout.log", last))
	})
}

// The last lines of a log may be in both of its files.
func TestCopyTail(t *testing.T) {
	leak.Check(t)
	dir, name := logDirectory(t)
	none, err := copyTail(dir, "stdout.log", new(strings.Builder), -1)
	must.NoError(t, err)
	must.Nil(t, none, must.Sprint("no file yet"))
	must.NoError(t, os.WriteFile(name+supervise.RotatedSuffix, []byte("one\ntwo\n"), 0o600))
	must.NoError(t, os.WriteFile(name, []byte("three\nfour"), 0o600))
	for lines, want := range map[int]string{-1: "one\ntwo\nthree\nfour", 0: "", 1: "four", 2: "three\nfour", 3: "two\nthree\nfour", 9: "one\ntwo\nthree\nfour"} {
		var got strings.Builder
		f, err := copyTail(dir, "stdout.log", &got, lines)
		must.NoError(t, err)
		must.Eq(t, want, got.String(), must.Sprint(lines))
		at, err := f.Seek(0, io.SeekCurrent)
		must.NoError(t, err)
		must.Eq(t, int64(len("three\nfour")), at, must.Sprint("open at its end"))
		must.NoError(t, f.Close())
	}
}

// logDirectory returns a directory for log files, and the path of one in it.
func logDirectory(t *testing.T) (*os.Root, string) {
	dir, err := os.OpenRoot(t.TempDir())
	must.NoError(t, err)
	t.Cleanup(func() { dir.Close() })
	return dir, filepath.Join(dir.Name(), "stdout.log")
}

// A rotation may be in the middle of a line, and a line longer than any buffer.
func TestCopyTail_rotatedInLine(t *testing.T) {
	leak.Check(t)
	dir, name := logDirectory(t)
	long := strings.Repeat("x", 100_000)
	must.NoError(t, os.WriteFile(name+supervise.RotatedSuffix, []byte("one\n"+long), 0o600))
	must.NoError(t, os.WriteFile(name, []byte(long+"\nthree\n"), 0o600))
	for lines, want := range map[int]string{0: "", 1: "three\n", 2: long + long + "\nthree\n", 3: "one\n" + long + long + "\nthree\n"} {
		var got strings.Builder
		f, err := copyTail(dir, "stdout.log", &got, lines)
		must.NoError(t, err)
		must.NoError(t, f.Close())
		must.True(t, want == got.String(), must.Sprint(lines, len(want), len(got.String())))
	}
}

// A failure to write ends the copy, and is its error.
func TestLogs_writeError(t *testing.T) {
	leak.Check(t)
	dir, name := logDirectory(t)
	must.NoError(t, os.WriteFile(name, nil, 0o600))
	l := &Logs{dir, "stdout.log", "stderr.log"}
	cause := errors.New("disk full")
	err := l.Copy(t.Context(), failing{cause}, io.Discard, -1, func(ctx context.Context) error {
		must.NoError(t, os.WriteFile(name, []byte("more\n"), 0o600))
		<-ctx.Done()
		return nil
	})
	must.ErrorIs(t, err, cause)
	must.ErrorIs(t, l.Copy(t.Context(), failing{cause}, io.Discard, -1, nil), cause)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// The files of the next run are not those that are followed.
func TestLogs_replaced(t *testing.T) {
	leak.Check(t)
	path := filepath.Join(t.TempDir(), "web")
	name := filepath.Join(path, "stdout.log")
	must.NoError(t, os.Mkdir(path, 0o700))
	must.NoError(t, os.WriteFile(name, []byte("one\n"), 0o600))
	dir, err := os.OpenRoot(path)
	must.NoError(t, err)
	l := &Logs{dir, "stdout.log", "stderr.log"}
	defer l.Close()
	must.False(t, l.Replaced())
	var got strings.Builder
	must.NoError(t, l.Copy(t.Context(), &got, io.Discard, -1, func(context.Context) error {
		must.NoError(t, os.RemoveAll(path))
		must.True(t, l.Replaced())
		must.NoError(t, os.Mkdir(path, 0o700))
		must.True(t, l.Replaced())
		return os.WriteFile(name, []byte("two\n"), 0o600)
	}))
	must.Eq(t, "one\n", got.String())
}

// An interrupted copy ends, also if the pot writes faster than the copy is written.
func TestLogs_interrupted(t *testing.T) {
	leak.Check(t)
	dir, name := logDirectory(t)
	must.NoError(t, os.WriteFile(name, []byte("begun\n"), 0o600))
	l := &Logs{dir, "stdout.log", "stderr.log"}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	to := writerFunc(func(p []byte) (int, error) {
		cancel(cause)
		return len(p), errors.Join(os.Rename(name, name+supervise.RotatedSuffix), os.WriteFile(name, []byte("more\n"), 0o600))
	})
	until := func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
	must.ErrorIs(t, l.Copy(ctx, to, io.Discard, -1, until), cause)
	must.ErrorIs(t, l.Copy(ctx, to, io.Discard, -1, nil), cause)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
