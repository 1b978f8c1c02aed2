package supervise

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// newRotator returns a rotator whose files are in a directory of their own.
func keepIn(t *testing.T, max int64) (k *logRotator, w *os.File, path string) {
	t.Helper()
	leak.Check(t)
	path = filepath.Join(t.TempDir(), "out")
	must.NoError(t, os.WriteFile(path, nil, 0o600))
	k, w, err := newLogRotator(path, max)
	must.NoError(t, err)
	return k, w, path
}

// mustClose fails the test with what unless c is closed within ten seconds.
func mustClose(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatal(what)
	}
}

func TestLogRotator(t *testing.T) {
	leak.Check(t)
	t.Run("the newest output is kept in two files of bounded size", func(t *testing.T) {
		const most = 10_000
		for _, size := range []int{0, 1, most, most + 1, 2 * most, 123_456} {
			k, w, path := keepIn(t, most)
			sent := make([]byte, size)
			for i := range sent {
				sent[i] = byte(i ^ i>>8)
			}
			for part := range bytesIn(sent, 777) {
				_, err := w.Write(part)
				must.NoError(t, err)
			}
			must.NoError(t, w.Close())
			mustClose(t, k.ended, "the rotator does not end when the last writer has closed the pipe")
			newest, err := os.ReadFile(path)
			must.NoError(t, err)
			older, err := os.ReadFile(path + RotatedSuffix)
			if size <= most {
				must.ErrorIs(t, err, os.ErrNotExist)
			} else {
				must.NoError(t, err)
				must.Eq(t, most, len(older))
			}
			must.LessEq(t, most, len(newest))
			must.True(t, bytes.HasSuffix(sent, append(older, newest...)), must.Sprint(size))
			must.GreaterEq(t, min(size, most), len(older)+len(newest))
			all, err := os.ReadDir(filepath.Dir(path))
			must.NoError(t, err)
			must.LessEq(t, 2, len(all))
		}
	})
	t.Run("after a flush the files have all that was written, and the command may write more", func(t *testing.T) {
		k, w, path := keepIn(t, 1<<20)
		sent := bytes.Repeat([]byte("line\n"), 10_000)
		_, err := w.Write(sent)
		must.NoError(t, err)
		k.flush()
		got, err := os.ReadFile(path)
		must.NoError(t, err)
		must.True(t, bytes.Equal(sent, got), must.Sprintf("%d of %d bytes", len(got), len(sent)))
		_, err = w.WriteString("more")
		must.NoError(t, err)
		must.NoError(t, w.Close())
		mustClose(t, k.ended, "the rotator does not end")
		got, err = os.ReadFile(path)
		must.NoError(t, err)
		must.StrHasSuffix(t, "line\nmore", string(got))
	})
	t.Run("a flush after the end returns", func(t *testing.T) {
		k, w, _ := keepIn(t, 1)
		must.NoError(t, w.Close())
		mustClose(t, k.ended, "the rotator does not end")
		k.flush()
	})
	t.Run("a writer is not blocked when the files cannot be written", func(t *testing.T) {
		k, w, path := keepIn(t, 1000)
		must.NoError(t, os.RemoveAll(filepath.Dir(path)))
		writeLast(t, k, w, 300_000)
		must.Less(t, 1001, k.size)
	})
	t.Run("a reader of the older file does not delay the command", func(t *testing.T) {
		k, w, path := keepIn(t, 1000)
		_, err := w.Write(make([]byte, 1500))
		must.NoError(t, err)
		k.flush()
		f, err := os.Open(path + RotatedSuffix)
		must.NoError(t, err)
		defer f.Close()
		must.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_SH))
		_, err = w.Write(make([]byte, 600))
		must.NoError(t, err)
		must.NoError(t, w.Close())
		select {
		case <-k.ended:
		case <-time.After(5 * time.Second):
			t.Fatal("the rotation waits for a reader")
		}
		must.Eq(t, 100, k.size)
	})
	t.Run("no directory is open, before and after a rotation", func(t *testing.T) {
		k, w, path := keepIn(t, 1000)
		must.NoError(t, checkNoDirectory())
		_, err := w.Write(make([]byte, 1500))
		must.NoError(t, err)
		k.flush()
		must.FileExists(t, path+RotatedSuffix)
		must.NoError(t, checkNoDirectory())
		must.NoError(t, w.Close())
		mustClose(t, k.ended, "the rotator does not end")
	})
}

// A rotation leaves files alone that have taken the place of the rotator's own.
func TestLogRotator_replacedFiles(t *testing.T) {
	leak.Check(t)
	t.Run("a link in place of the current file is neither followed nor renamed", func(t *testing.T) {
		k, w, path := keepIn(t, 1000)
		other := filepath.Join(t.TempDir(), "other")
		must.NoError(t, os.WriteFile(other, []byte("mine"), 0o600))
		must.NoError(t, os.Remove(path))
		must.NoError(t, os.Symlink(other, path))
		writeLast(t, k, w, 5000)
		got, err := os.ReadFile(path)
		must.NoError(t, err)
		must.Eq(t, "mine", string(got))
		must.FileNotExists(t, path+RotatedSuffix)
		must.LessEq(t, 1000, k.size)
	})
	t.Run("a link in place of the older file is replaced, not followed", func(t *testing.T) {
		k, w, path := keepIn(t, 1000)
		other := filepath.Join(t.TempDir(), "other")
		must.NoError(t, os.WriteFile(other, []byte("mine"), 0o600))
		must.NoError(t, os.Symlink(other, path+RotatedSuffix))
		writeLast(t, k, w, 1500)
		info, err := os.Lstat(path + RotatedSuffix)
		must.NoError(t, err)
		must.True(t, info.Mode().IsRegular())
		got, err := os.ReadFile(other)
		must.NoError(t, err)
		must.Eq(t, "mine", string(got))
	})
	t.Run("another pot's file at the same path is left alone", func(t *testing.T) {
		k, w, path := keepIn(t, 1000)
		must.NoError(t, os.RemoveAll(filepath.Dir(path)))
		must.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
		must.NoError(t, os.WriteFile(path, []byte("another's"), 0o600))
		writeLast(t, k, w, 5000)
		got, err := os.ReadFile(path)
		must.NoError(t, err)
		must.Eq(t, "another's", string(got))
		must.FileNotExists(t, path+RotatedSuffix)
	})
	t.Run("a file that was removed is created again", func(t *testing.T) {
		k, w, path := keepIn(t, 1000)
		must.NoError(t, os.Remove(path))
		writeLast(t, k, w, 1500)
		got, err := os.ReadFile(path)
		must.NoError(t, err)
		must.Eq(t, 500, len(got))
	})
	t.Run("a link is not followed", func(t *testing.T) {
		leak.Check(t)
		dir := t.TempDir()
		must.NoError(t, os.Symlink("/etc/hostname", filepath.Join(dir, "out")))
		_, _, err := newLogRotator(filepath.Join(dir, "out"), 1)
		must.ErrorContains(t, err, "open output")
	})
}

// writeLast writes n bytes, closes the command's end of the pipe and waits for the rotator.
func writeLast(t *testing.T, k *logRotator, w *os.File, n int) {
	t.Helper()
	_, err := w.Write(make([]byte, n))
	must.NoError(t, err)
	must.NoError(t, w.Close())
	mustClose(t, k.ended, "the rotator does not end")
}

// bytesIn yields p in parts of n bytes.
func bytesIn(p []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			part := p[:min(n, len(p))]
			if p = p[len(part):]; !yield(part) {
				return
			}
		}
	}
}
