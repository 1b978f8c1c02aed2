package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// small is an image of a few bytes.
var small = imagetest.XZ(imagetest.Content("small"))

// smallServer has it as small_1.0.
func smallServer(t *testing.T) (*imagetest.Server, image.Ref) {
	leak.Check(t)
	s := imagetest.NewServer(t)
	s.Add("small", "1.0", small, imagetest.NoMeta)
	return s, image.Ref{Source: s.URL, Name: "small", Tag: "1.0"}
}

func TestCache_Fetch(t *testing.T) {
	leak.Check(t)
	t.Run("an image is fetched once and verified at each use", func(t *testing.T) {
		server := imagetest.NewServer(t)
		ref := image.Ref{Source: server.URL, Name: imagetest.HelloName, Tag: imagetest.HelloTag}
		dir := filepath.Join(t.TempDir(), "cache")
		cache := fetch.NewCache(dir, fetch.Options{})

		var said []string
		for range 2 {
			f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, func(s string) { said = append(said, s) })
			must.NoError(t, err)
			defer f.Close()
			must.Eq(t, int64(len(imagetest.Hello(""))), f.Bytes)
			must.Eq(t, image.Meta{}, f.Meta)
			must.Eq(t, "skein1024:"+string(imagetest.Hello(".skein")), f.Digest.String()+"\n")
		}
		must.Eq(t, []string{fmt.Sprintf("downloading %s (%d KiB)", imagetest.HelloFile, (len(imagetest.Hello(""))+512)>>10), "verifying " + imagetest.HelloFile}, said)
		must.Eq(t, 2, server.Gets(imagetest.HelloFile+".skein")) // what does the source have now?
		must.Eq(t, 1, server.Gets(imagetest.HelloFile+".meta"))
		must.Eq(t, 1, server.Gets(imagetest.HelloFile))
		for _, suffix := range []string{"", ".meta", ".skein"} {
			got, err := os.ReadFile(filepath.Join(dir, imagetest.HelloFile+suffix))
			must.NoError(t, err)
			must.True(t, bytes.Equal(imagetest.Hello(suffix), got))
		}
		must.MapLen(t, 3, imagetest.Files(t, dir))
		info, err := os.Stat(dir)
		must.NoError(t, err)
		must.Eq(t, fs.ModeDir|0o700, info.Mode())
	})
	t.Run("an image of the same name from another source is not taken for it", func(t *testing.T) {
		first, ref := smallServer(t)
		second, other := smallServer(t)
		second.Add("small", "1.0", imagetest.XZ(imagetest.Content("other")), imagetest.NoMeta)
		cache := fetch.NewCache(t.TempDir(), fetch.Options{})
		a, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		defer a.Close()
		b, err := cache.Fetch(t.Context(), other, image.PullOptions{}, nil)
		must.NoError(t, err)
		defer b.Close()
		must.NotEq(t, a.Digest, b.Digest)
		must.Eq(t, 1, first.Gets("small_1.0.xz"))
		must.Eq(t, 1, second.Gets("small_1.0.xz"))
	})
	t.Run("a source that is ill is not waited for", func(t *testing.T) {
		server, ref := smallServer(t)
		cache := fetch.NewCache(t.TempDir(), fetch.Options{})
		want, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		defer want.Close()
		server.Fail("small_1.0.xz.skein", imagetest.Status(http.StatusServiceUnavailable))
		got, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		defer got.Close()
		must.Eq(t, want.Digest, got.Digest)
		server.Remove("small_1.0.xz.skein")
		server.Fail("small_1.0.xz.skein", nil)
		_, err = cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.ErrorContains(t, err, "404")
	})
	t.Run("an image may have no .meta", func(t *testing.T) {
		server, ref := smallServer(t)
		server.Add("small", "1.0", small, "")
		server.Remove("small_1.0.xz.meta")
		dir := t.TempDir()
		for range 2 {
			f, err := fetch.NewCache(dir, fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
			must.NoError(t, err)
			f.Close()
		}
		must.Eq(t, 1, server.Gets("small_1.0.xz"))
		must.Eq(t, "", imagetest.Files(t, dir)["small_1.0.xz.meta"])
	})
	t.Run("an image may be in a directory", func(t *testing.T) {
		from := t.TempDir()
		for _, suffix := range []string{"", ".meta", ".skein"} {
			name := filepath.Join(from, imagetest.HelloFile+suffix)
			must.NoError(t, os.WriteFile(name, imagetest.Hello(suffix), 0o600))
		}
		ref := image.Ref{Source: "file://" + from, Name: imagetest.HelloName, Tag: imagetest.HelloTag}
		f, err := fetch.NewCache(t.TempDir(), fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		f.Close()
	})
}

func TestCache_Fetch_bytes(t *testing.T) {
	leak.Check(t)
	t.Run("a redirect is followed", func(t *testing.T) {
		server, ref := smallServer(t)
		server.Put("elsewhere", small)
		server.Fail("small_1.0.xz", imagetest.Redirect("/other/elsewhere"))
		f, err := fetch.NewCache(t.TempDir(), fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		f.Close()
	})
	t.Run("a pinned image takes the place of another in the cache", func(t *testing.T) {
		server, ref := smallServer(t)
		cache := fetch.NewCache(t.TempDir(), fetch.Options{})
		before, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		defer before.Close()
		moved := imagetest.XZ(imagetest.Content("moved"))
		server.Add("small", "1.0", moved, imagetest.NoMeta)
		f, err := cache.Fetch(t.Context(), ref, image.PullOptions{Digest: imagetest.Digest(t, moved, []byte(imagetest.NoMeta))}, nil)
		must.NoError(t, err)
		defer f.Close()
		got, err := io.ReadAll(opened(t, f, nil))
		must.NoError(t, err)
		must.Eq(t, imagetest.Content("moved"), got)
		got, err = io.ReadAll(opened(t, before, nil))
		must.NoError(t, err)
		must.Eq(t, imagetest.Content("small"), got)
	})
	t.Run("what was verified stays, whatever becomes of the cache", func(t *testing.T) {
		_, ref := smallServer(t)
		dir := t.TempDir()
		f, err := fetch.NewCache(dir, fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		defer f.Close()
		must.NoError(t, os.Remove(filepath.Join(dir, ref.File())))
		for range 2 {
			got, err := io.ReadAll(opened(t, f, nil))
			must.NoError(t, err)
			must.Eq(t, imagetest.Content("small"), got)
		}
	})
}

func TestCache_Fetch_repairs(t *testing.T) {
	leak.Check(t)
	for name, spoil := range map[string]func(file string) error{
		"a flipped bit in the image": func(file string) error {
			b, _ := os.ReadFile(file)
			b[len(b)/2] ^= 1
			return os.WriteFile(file, b, 0o600)
		},
		"a truncated image":       func(file string) error { return os.Truncate(file, 10) },
		"no image":                os.Remove,
		"no .meta":                func(file string) error { return os.Remove(file + ".meta") },
		"no .skein":               func(file string) error { return os.Remove(file + ".skein") },
		"another .meta":           func(file string) error { return os.WriteFile(file+".meta", nil, 0o600) },
		"a .skein without end":    func(file string) error { return os.Truncate(file+".skein", 256) },
		"a .meta without measure": func(file string) error { return os.Truncate(file+".meta", 1<<30) },
		"a fifo for an image": func(file string) error {
			return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600))
		},
	} {
		t.Run(name+" is fetched anew", func(t *testing.T) {
			server, ref := smallServer(t)
			dir := t.TempDir()
			cache := fetch.NewCache(dir, fetch.Options{})
			f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
			must.NoError(t, err)
			f.Close()
			good := imagetest.Files(t, dir)
			must.NoError(t, spoil(filepath.Join(dir, ref.File())))
			f, err = cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
			must.NoError(t, err)
			f.Close()
			must.Eq(t, good, imagetest.Files(t, dir))
			must.Eq(t, 2, server.Gets(ref.File()))
		})
	}
}

func TestCache_Fetch_parallel(t *testing.T) {
	leak.Check(t)
	t.Run("no more fetches at once than allowed", func(t *testing.T) {
		server, _ := smallServer(t)
		var mu sync.Mutex
		var now, most int
		var wg sync.WaitGroup
		two := make(chan struct{}) // closed when two were at it at once
		cache := fetch.NewCache(t.TempDir(), fetch.Options{MaxParallel: 2})
		for _, tag := range []string{"1", "2", "3", "4", "5", "6"} {
			server.Add("small", tag, small, imagetest.NoMeta)
			server.Fail("small_"+tag+".xz", func(w http.ResponseWriter, _ *http.Request, file []byte) {
				mu.Lock()
				if now++; now == 2 && most < 2 {
					close(two)
				}
				most = max(most, now)
				mu.Unlock()
				select {
				case <-two:
				case <-time.After(10 * time.Second):
				}
				time.Sleep(20 * time.Millisecond) // for a third to come
				mu.Lock()
				now--
				mu.Unlock()
				w.Write(file)
			})
			wg.Go(func() {
				ref := image.Ref{Source: server.URL, Name: "small", Tag: tag}
				f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
				must.NoError(t, err)
				f.Close()
			})
		}
		wg.Wait()
		must.Eq(t, 2, most)
	})
	t.Run("other processes may fetch the same", func(t *testing.T) {
		_, ref := smallServer(t)
		dir := t.TempDir()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				cache := fetch.NewCache(dir, fetch.Options{}) // as another process has its own
				f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
				must.NoError(t, err)
				got, err := io.ReadAll(opened(t, f, nil))
				must.NoError(t, err)
				must.Eq(t, imagetest.Content("small"), got)
				f.Close()
			})
		}
		wg.Wait()
		must.MapLen(t, 3, imagetest.Files(t, dir))
	})
}

func TestCache_leftovers(t *testing.T) {
	leak.Check(t)
	_, ref := smallServer(t)
	dir := t.TempDir()
	crashed, live := filepath.Join(dir, ".fetch-1"), filepath.Join(dir, ".fetch-2")
	for _, d := range []string{crashed, live} {
		must.NoError(t, os.Mkdir(d, 0o700))
		must.NoError(t, os.WriteFile(filepath.Join(d, ref.File()), []byte("half"), 0o600))
	}
	lock, err := os.Open(live)
	must.NoError(t, err)
	defer lock.Close()
	must.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))

	f, err := fetch.NewCache(dir, fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
	must.NoError(t, err)
	f.Close()
	must.DirNotExists(t, crashed)
	must.DirExists(t, live) // another process is at work there
}

// opened reads an image that is closed at the end of the test.
func opened(t *testing.T, f *image.File, count image.ProgressFunc) io.Reader {
	t.Helper()
	r := f.Open(t.Context(), xz.Options{Count: count})
	t.Cleanup(func() { r.Close() })
	return r
}
