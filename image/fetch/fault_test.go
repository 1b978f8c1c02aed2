package fetch_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
)

// fetchError fetches small_1.0 into a cache that has something else, and checks
// that it still has that, and no more.
func fetchError(t *testing.T, ref image.Ref, wantDigest image.Digest, o fetch.Options) error {
	t.Helper()
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "other_1.0.xz"), []byte("other"), 0o600))
	before := imagetest.Files(t, dir)
	_, err := fetch.NewCache(dir, o).Fetch(t.Context(), ref, image.PullOptions{Digest: wantDigest}, nil)
	must.Error(t, err)
	must.Eq(t, before, imagetest.Files(t, dir))
	entries, err2 := os.ReadDir(dir)
	must.NoError(t, err2)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), ".partial-") })
	must.Len(t, 1, entries)
	return err
}

// Each fault of a server: what is said of it, with SRC for its URL, and whether
// asking again may help.
func TestCache_Fetch_faults(t *testing.T) {
	leak.Check(t)
	const xz, skein, meta = "small_1.0.xz", "small_1.0.xz.skein", "small_1.0.xz.meta"
	wrong := imagetest.Skein([]byte("other"), nil)
	for name, c := range map[string]struct {
		file  string
		fault imagetest.Fault // nil: the file is put instead, or 404 for nil
		put   []byte
		want  string
		retry bool
	}{
		"no digest":           {skein, nil, nil, "fetch SRC/small_1.0.xz.skein: 404 Not Found", false},
		"no image":            {xz, nil, nil, "fetch SRC/small_1.0.xz: 404 Not Found", false},
		"forbidden":           {xz, imagetest.Status(403), nil, "fetch SRC/small_1.0.xz: 403 Forbidden", false},
		"not content":         {xz, imagetest.Status(204), nil, "fetch SRC/small_1.0.xz: 204 No Content", false},
		"a .meta not allowed": {meta, imagetest.Status(403), nil, "fetch SRC/small_1.0.xz.meta: 403 Forbidden", false},
		"an ill server":       {xz, imagetest.Status(503), nil, "fetch SRC/small_1.0.xz: 503 Service Unavailable", true},
		"an ill .meta":        {meta, imagetest.Status(500), nil, "fetch SRC/small_1.0.xz.meta: 500 Internal Server Error", true},
		"a busy server":       {skein, imagetest.Status(429), nil, "fetch SRC/small_1.0.xz.skein: 429 Too Many Requests", true},
		"half an image":       {xz, imagetest.HangUp(), nil, "fetch SRC/small_1.0.xz: after 40 of 80 bytes: unexpected EOF", true},
		"half a digest":       {skein, imagetest.HangUp(), nil, "fetch SRC/small_1.0.xz.skein: after 128 of 257 bytes: unexpected EOF", true},
		"a stall":             {xz, imagetest.Stall(), nil, "fetch SRC/small_1.0.xz: after 40 of 80 bytes: no bytes for 300ms", true},
		"a page for a digest": {skein, imagetest.WebPage(), nil, "verify small_1.0.xz.skein of SRC/small:1.0: a web page, not a digest", false},
		"a page for a .meta":  {meta, imagetest.WebPage(), nil, "verify small_1.0.xz.meta of SRC/small:1.0: a web page, not what an image was cloned from", false},
		"no digest in it":     {skein, nil, []byte{}, "verify small_1.0.xz.skein of SRC/small:1.0: empty, not a digest", false},
		"a large digest":      {skein, nil, make([]byte, 1025), "fetch SRC/small_1.0.xz.skein: 1025 bytes, more than the 1024 allowed", false},
		"a large .meta":       {meta, nil, make([]byte, 1025), "fetch SRC/small_1.0.xz.meta: 1025 bytes, more than the 1024 allowed", false},
		"a large image":       {xz, nil, make([]byte, 1001), "fetch SRC/small_1.0.xz: 1001 bytes, more than the 1000 allowed", false},
		"a .meta gone":        {meta, nil, nil, "verify SRC/small:1.0: image is not what was asked for: want GOOD, got ", false},
		"another digest":      {skein, nil, wrong, "verify SRC/small:1.0: image is not what was asked for: want " + imagetest.Shown(wrong) + ", got GOOD of 82 bytes", false},
		"another image":       {xz, nil, []byte("other"), "verify SRC/small:1.0: image is not what was asked for: want GOOD, got ", false},
		"a way to a file":     {xz, imagetest.Redirect("file:///etc/passwd"), nil, "fetch SRC/small_1.0.xz: redirect refused: from http to file", false},
		"a way in a circle":   {xz, imagetest.Redirect("/pots/small_1.0.xz"), nil, "fetch SRC/small_1.0.xz: redirect refused: the tenth", false},
		"more than it said":   {xz, endless, nil, "fetch SRC/small_1.0.xz: more than the 1000 bytes allowed", false},
	} {
		t.Run(name, func(t *testing.T) {
			server, ref := smallServer(t)
			switch {
			case c.fault != nil:
				server.Fail(c.file, c.fault)
			case c.put != nil:
				server.Put(c.file, c.put)
			default:
				server.Remove(c.file)
			}
			err := fetchError(t, ref, image.Digest{}, fetch.Options{MaxBytes: 1000, StallTimeout: 300 * time.Millisecond})
			good := imagetest.Shown(imagetest.Skein(small, []byte(imagetest.NoMeta)))
			want := strings.NewReplacer("SRC", server.URL, "GOOD", good).Replace(c.want)
			must.StrHasPrefix(t, want, err.Error())
			must.Eq(t, c.retry, image.Retryable(err))
		})
	}
}

// endless is an answer without a length, and without an end.
func endless(w http.ResponseWriter, _ *http.Request, _ []byte) {
	for range 100 {
		w.Write(make([]byte, 100))
		w.(http.Flusher).Flush()
	}
}

func TestCache_Fetch_errors(t *testing.T) {
	leak.Check(t)
	t.Run("nobody listens", func(t *testing.T) {
		ref := image.Ref{Source: "http://127.0.0.1:1", Name: "a", Tag: "1"}
		err := fetchError(t, ref, image.Digest{}, fetch.Options{})
		must.EqError(t, err, "fetch http://127.0.0.1:1/a_1.xz.skein: dial tcp 127.0.0.1:1: connect: connection refused")
		must.True(t, image.Retryable(err))
	})
	t.Run("a reference that is none is never fetched", func(t *testing.T) {
		err := fetchError(t, image.Ref{Source: "file:///", Name: "../a", Tag: "1"}, image.Digest{}, fetch.Options{})
		must.ErrorContains(t, err, `check image reference: name: must be letters`)
		must.False(t, image.Retryable(err))
	})
	t.Run("a directory without the image", func(t *testing.T) {
		from := t.TempDir()
		err := fetchError(t, image.Ref{Source: "file://" + from, Name: "a", Tag: "1"}, image.Digest{}, fetch.Options{})
		must.EqError(t, err, "fetch file://"+from+"/a_1.xz.skein: no such file or directory")
		must.False(t, image.Retryable(err))
	})
	t.Run("a fifo in a directory", func(t *testing.T) {
		from := t.TempDir()
		must.NoError(t, syscall.Mkfifo(filepath.Join(from, "a_1.xz.skein"), 0o600))
		err := fetchError(t, image.Ref{Source: "file://" + from, Name: "a", Tag: "1"}, image.Digest{}, fetch.Options{})
		must.EqError(t, err, "fetch file://"+from+"/a_1.xz.skein: not a regular file")
	})
	t.Run("a fetch that takes too long", func(t *testing.T) {
		server, ref := smallServer(t)
		server.Fail(ref.File(), imagetest.Trickle(100*time.Millisecond))
		err := fetchError(t, ref, image.Digest{}, fetch.Options{Timeout: 250 * time.Millisecond})
		must.ErrorContains(t, err, "not done within 250ms")
		must.True(t, image.Retryable(err))
	})
	t.Run("another image than the pinned one is not fetched", func(t *testing.T) {
		server, ref := smallServer(t)
		var wantDigest image.Digest
		wantDigest[0] = 1
		err := fetchError(t, ref, wantDigest, fetch.Options{})
		must.EqError(t, err, "verify small_1.0.xz.skein of "+ref.String()+
			": image is not what was asked for: want skein1024:0100000000000000…, got "+
			imagetest.Shown(imagetest.Skein(small, []byte(imagetest.NoMeta))))
		must.Eq(t, 0, server.Gets(ref.File()))
		must.False(t, image.Retryable(err))
	})
	t.Run("a cache that is no directory", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		must.NoError(t, os.WriteFile(file, nil, 0o600))
		_, ref := smallServer(t)
		_, err := fetch.NewCache(file, fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
		must.EqError(t, err, "use image cache: mkdir "+file+": not a directory")
		must.False(t, image.Retryable(err))
	})
	t.Run("a cancelled fetch is not retryable", func(t *testing.T) {
		server, ref := smallServer(t)
		server.Fail(ref.File(), imagetest.Stall())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err := fetch.NewCache(t.TempDir(), fetch.Options{}).Fetch(ctx, ref, image.PullOptions{}, nil)
		must.ErrorIs(t, err, context.Canceled)
		must.False(t, image.Retryable(err))
	})
}
