package fetch_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
)

func TestCache_FetchFile(t *testing.T) {
	leak.Check(t)
	content := noise(100_000)
	open := func(t *testing.T, o fetch.Options) (*imagetest.Server, string, *fetch.Cache) {
		s := imagetest.NewServer(t)
		s.Put("base.txz", content)
		dir := filepath.Join(t.TempDir(), "cache") // not there yet
		return s, dir, fetch.NewCache(dir, o)
	}
	whole := func(t *testing.T, dir string, err error) {
		t.Helper()
		must.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, "b.txz"))
		must.NoError(t, err)
		must.True(t, bytes.Equal(content, got))
		must.Len(t, 1, imagetest.Names(t, dir))
	}
	sum := sha256.Sum256(content)
	t.Run("an interrupted download is resumed", func(t *testing.T) {
		s, dir, cache := open(t, fetch.Options{})
		s.Fail("base.txz", part(40_000))
		whole(t, dir, cache.FetchFile(t.Context(), s.URL+"/base.txz", "b.txz", sum))
		must.Eq(t, []string{"bytes=40000-", "bytes=80000-"}, s.Ranges("base.txz"))
	})
	t.Run("the next process resumes it", func(t *testing.T) {
		s, dir, cache := open(t, fetch.Options{})
		s.Fail("base.txz", imagetest.HangUp())
		err := cache.FetchFile(t.Context(), s.URL+"/base.txz", "b.txz", sum)
		must.True(t, image.Retryable(err), must.Sprint(err))
		s.Fail("base.txz", nil)
		whole(t, dir, fetch.NewCache(dir, fetch.Options{}).FetchFile(t.Context(), s.URL+"/base.txz", "b.txz", sum))
		ranges := s.Ranges("base.txz")
		must.Eq(t, "bytes=50000-", ranges[len(ranges)-1])
	})
	t.Run("a server that sends nothing more is not waited for", func(t *testing.T) {
		s, dir, cache := open(t, fetch.Options{StallTimeout: 50 * time.Millisecond})
		s.Fail("base.txz", imagetest.Stall())
		err := cache.FetchFile(t.Context(), s.URL+"/base.txz", "b.txz", sum)
		must.ErrorContains(t, err, "no bytes for 50ms")
		must.FileNotExists(t, filepath.Join(dir, "b.txz"))
	})
	t.Run("another file is not kept", func(t *testing.T) {
		s, dir, cache := open(t, fetch.Options{})
		other := sha256.Sum256(nil)
		err := cache.FetchFile(t.Context(), s.URL+"/base.txz", "b.txz", other)
		must.EqError(t, err, fmt.Sprintf("verify %s/base.txz: want sha256:%x, got sha256:%x", s.URL, other, sum))
		must.Len(t, 0, imagetest.Names(t, dir))
	})
	t.Run("a file that is too large is not kept", func(t *testing.T) {
		s, dir, cache := open(t, fetch.Options{MaxBytes: 1000})
		err := cache.FetchFile(t.Context(), s.URL+"/base.txz", "b.txz", sum)
		must.EqError(t, err, "fetch "+s.URL+"/base.txz: 100000 bytes, more than the 1000 allowed")
		must.Len(t, 0, imagetest.Names(t, dir))
	})
}

func TestCache_ReadURL(t *testing.T) {
	leak.Check(t)
	s := imagetest.NewServer(t)
	s.Put("MANIFEST", []byte("base.txz"))
	cache := fetch.NewCache(t.TempDir(), fetch.Options{})
	got, err := cache.ReadURL(t.Context(), s.URL+"/MANIFEST", 8)
	must.NoError(t, err)
	must.Eq(t, "base.txz", string(got))
	_, err = cache.ReadURL(t.Context(), s.URL+"/MANIFEST", 7)
	must.EqError(t, err, "fetch "+s.URL+"/MANIFEST: 8 bytes, more than the 7 allowed")
	_, err = cache.ReadURL(t.Context(), "ftp://x/", 7)
	must.EqError(t, err, `check URL: must be http, https or file, not "ftp://x/"`)
}
