package fetch_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
)

// noise is of that many bytes, and no smaller when it is compressed.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// part answers with that much of what is asked for, and then hangs up.
func part(n int) imagetest.Fault {
	return func(w http.ResponseWriter, r *http.Request, file []byte) {
		from := 0
		w.Header().Set("ETag", imagetest.Tag(file))
		if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
			from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(file)-1, len(file)))
			w.Header().Set("Content-Length", strconv.Itoa(len(file)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		}
		w.Write(file[from:min(from+n, len(file))])
		w.(http.Flusher).Flush()
		if from+n < len(file) {
			panic(http.ErrAbortHandler)
		}
	}
}

// partials are what is kept of downloads that did not come to their end.
func partials(t *testing.T, dir string) (names []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, ".partial-*"))
	must.NoError(t, err)
	return names
}

// A download that breaks off goes on where it was.
func TestCache_Fetch_resume(t *testing.T) {
	leak.Check(t)
	content := noise(100_000)
	begin := func(t *testing.T) (*imagetest.Server, image.Ref, string, *fetch.Cache) {
		leak.Check(t)
		s := imagetest.NewServer(t)
		s.Add("big", "1.0", content, imagetest.NoMeta)
		dir := t.TempDir()
		return s, image.Ref{Source: s.URL, Name: "big", Tag: "1.0"}, dir, fetch.NewCache(dir, fetch.Options{})
	}
	whole := func(t *testing.T, f *image.File, err error, dir string) {
		t.Helper()
		must.NoError(t, err)
		must.NoError(t, f.Close())
		got, err := os.ReadFile(filepath.Join(dir, "big_1.0.xz"))
		must.NoError(t, err)
		must.True(t, bytes.Equal(content, got))
		must.SliceEmpty(t, partials(t, dir))
	}
	t.Run("within a fetch", func(t *testing.T) {
		s, ref, dir, cache := begin(t)
		s.Fail("big_1.0.xz", part(40_000))
		var said []string
		f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, func(m string) { said = append(said, m) })
		whole(t, f, err, dir)
		must.Eq(t, []string{"bytes=40000-", "bytes=80000-"}, s.Ranges("big_1.0.xz"))
		must.StrContains(t, strings.Join(said, "\n"), "the download of big_1.0.xz was interrupted, continuing at 39.1 KiB: fetch ")
	})
	t.Run("within the next, of another process", func(t *testing.T) {
		s, ref, dir, cache := begin(t)
		s.Fail("big_1.0.xz", imagetest.HangUp()) // which knows no ranges
		_, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.True(t, image.Retryable(err), must.Sprint(err))
		must.SliceNotEmpty(t, partials(t, dir))
		s.Fail("big_1.0.xz", nil)
		f, err := fetch.NewCache(dir, fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
		whole(t, f, err, dir)
		ranges := s.Ranges("big_1.0.xz")
		must.Eq(t, "bytes=50000-", ranges[len(ranges)-1])
	})
	t.Run("not where the image is another by now", func(t *testing.T) {
		s, ref, dir, cache := begin(t)
		s.Fail("big_1.0.xz", imagetest.HangUp())
		_, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.Error(t, err)
		s.Fail("big_1.0.xz", nil)
		content = noise(90_000)
		s.Add("big", "1.0", content, imagetest.NoMeta)
		asked := len(s.Ranges("big_1.0.xz"))
		f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.NoError(t, err)
		must.NoError(t, f.Close())
		must.Len(t, asked, s.Ranges("big_1.0.xz")) // it was not even tried
		got, err := os.ReadFile(filepath.Join(dir, "big_1.0.xz"))
		must.NoError(t, err)
		must.True(t, bytes.Equal(content, got))
		must.Len(t, 2, partials(t, dir)) // of the other, until it is too old
	})
	t.Run("what was damaged meanwhile is fetched from its beginning", func(t *testing.T) {
		content = noise(100_000)
		s, ref, dir, cache := begin(t)
		s.Fail("big_1.0.xz", imagetest.HangUp())
		_, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.Error(t, err)
		s.Fail("big_1.0.xz", nil)
		must.NoError(t, os.WriteFile(partials(t, dir)[0], noise(200)[100:], 0o600))
		f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		whole(t, f, err, dir)
	})
	t.Run("one that is longer than the file is fetched from its beginning", func(t *testing.T) {
		s, ref, dir, cache := begin(t)
		s.Fail("big_1.0.xz", imagetest.HangUp())
		_, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.Error(t, err)
		s.Fail("big_1.0.xz", nil)
		must.NoError(t, os.WriteFile(partials(t, dir)[0], noise(200_000), 0o600))
		f, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		whole(t, f, err, dir)
	})
	t.Run("an answer with another part is none", func(t *testing.T) {
		s, ref, _, cache := begin(t)
		s.Fail("big_1.0.xz", imagetest.HangUp())
		_, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.Error(t, err)
		s.Fail("big_1.0.xz", func(w http.ResponseWriter, _ *http.Request, file []byte) {
			w.Header().Set("Content-Range", "bytes 7-99999/100000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(file[7:])
		})
		_, err = cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.ErrorContains(t, err, `asked for all from byte 50000, got "bytes 7-99999/100000"`)
	})
	t.Run("old ones are removed", func(t *testing.T) {
		s, ref, dir, cache := begin(t)
		s.Fail("big_1.0.xz", imagetest.HangUp())
		_, err := cache.Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.Error(t, err)
		old := time.Now().Add(-25 * time.Hour)
		must.NoError(t, os.Chtimes(partials(t, dir)[0], old, old))
		f, err := cache.Fetch(t.Context(), image.Ref{Source: s.URL, Name: imagetest.HelloName, Tag: imagetest.HelloTag}, image.PullOptions{}, nil)
		must.NoError(t, err)
		must.NoError(t, f.Close())
		must.SliceEmpty(t, partials(t, dir))
	})
}

// The cache keeps to its size, and what was used last.
func TestCache_Fetch_prune(t *testing.T) {
	leak.Check(t)
	s := imagetest.NewServer(t)
	dir := t.TempDir()
	cache := fetch.NewCache(dir, fetch.Options{CacheBytes: 25_000})
	fetch := func(name string) {
		t.Helper()
		f, err := cache.Fetch(t.Context(), image.Ref{Source: s.URL, Name: name, Tag: "1"}, image.PullOptions{}, nil)
		must.NoError(t, err)
		must.NoError(t, f.Close())
	}
	have := func() (names []string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "*.xz"))
		must.NoError(t, err)
		for _, f := range files {
			names = append(names, filepath.Base(f))
		}
		return names
	}
	for i, name := range []string{"a", "b", "c", "large"} {
		s.Add(name, "1", noise(10_000+20_000*(i/3)), imagetest.NoMeta)
	}
	other := filepath.Join(dir, "14.2-RELEASE_base.txz")
	must.NoError(t, os.WriteFile(other, noise(1000), 0o600))
	fetch("a")
	fetch("b")
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"a", "b"} {
		must.NoError(t, os.Chtimes(filepath.Join(dir, name+"_1.xz"), old, old))
	}
	fetch("a") // it is used
	must.Eq(t, []string{"a_1.xz", "b_1.xz"}, have())
	fetch("c")
	must.Eq(t, []string{"a_1.xz", "c_1.xz"}, have())
	for _, suffix := range []string{".meta", ".skein"} {
		must.FileNotExists(t, filepath.Join(dir, "b_1.xz"+suffix))
	}
	fetch("large") // than the cache may be
	must.Eq(t, []string{"large_1.xz"}, have())
	must.FileExists(t, other)
}
