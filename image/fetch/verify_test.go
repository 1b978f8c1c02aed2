package fetch_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/signify"
)

// placed are small_1.0's files in a directory and on a server.
func placed(t *testing.T) (local, remote fetch.Location, dir string, server *imagetest.Server) {
	t.Helper()
	server, ref := smallServer(t)
	dir = t.TempDir()
	path := filepath.Join(dir, ref.File())
	must.NoError(t, os.WriteFile(path, small, 0o600))
	must.NoError(t, os.WriteFile(path+".meta", []byte(imagetest.NoMeta), 0o600))
	must.NoError(t, os.WriteFile(path+".skein", imagetest.Skein(small, []byte(imagetest.NoMeta)), 0o600))
	local, err := fetch.ParseLocation(path)
	must.NoError(t, err)
	remote, err = fetch.ParseLocation(server.URL + "/" + ref.File())
	must.NoError(t, err)
	return local, remote, dir, server
}

func TestPlace_Open(t *testing.T) {
	leak.Check(t)
	local, remote, _, server := placed(t)
	for name, p := range map[string]fetch.Location{"on disk": local, "on a server": remote} {
		t.Run(name, func(t *testing.T) {
			keep := t.TempDir()
			var done, total int64
			f, err := p.Open(t.Context(), fetch.Checks{Count: func(d, n int64) { done, total = d, n }}, keep)
			must.NoError(t, err)
			defer f.Close()
			must.Eq(t, int64(len(small)), f.Bytes)
			must.Eq(t, []int64{f.Bytes, f.Bytes}, []int64{done, total})
			must.True(t, f.HasMeta)
			must.Eq(t, image.Meta{}, f.Meta)
			must.Nil(t, f.Key)
			must.Eq(t, string(imagetest.Skein(small, []byte(imagetest.NoMeta))), strings.TrimPrefix(f.Digest.String(), "skein1024:")+"\n")
			must.MapLen(t, 0, imagetest.Files(t, keep), must.Sprint("what is kept has no name"))
			for range 2 { // as often as wanted
				got, err := io.ReadAll(opened(t, f, func(d, n int64) { done, total = d, n }))
				must.NoError(t, err)
				must.Eq(t, string(imagetest.Content("small")), string(got))
				must.Eq(t, []int64{f.Bytes, f.Bytes}, []int64{done, total})
			}
		})
	}
	t.Run("to verify keeps nothing", func(t *testing.T) {
		for _, p := range []fetch.Location{local, remote} {
			v, err := p.Verify(t.Context(), fetch.Checks{})
			must.NoError(t, err)
			must.Eq(t, int64(len(small)), v.Bytes)
		}
	})
	t.Run("an image of two files has a digest of its .xz", func(t *testing.T) {
		server.Put("small_1.0.xz.skein", imagetest.Skein(small, nil))
		server.Remove("small_1.0.xz.meta")
		v, err := remote.Verify(t.Context(), fetch.Checks{})
		must.NoError(t, err)
		must.False(t, v.HasMeta)
	})
}

func TestPlace_OpenUnverified(t *testing.T) {
	leak.Check(t)
	local, remote, dir, server := placed(t)
	for _, suffix := range []string{".skein", ".meta"} {
		server.Remove("small_1.0.xz" + suffix)
		must.NoError(t, os.Remove(filepath.Join(dir, "small_1.0.xz"+suffix)))
	}
	for _, p := range []fetch.Location{local, remote} {
		f, err := p.OpenUnverified(t.Context(), nil, t.TempDir())
		must.NoError(t, err)
		got, err := io.ReadAll(opened(t, f, nil))
		must.NoError(t, err)
		must.Eq(t, string(imagetest.Content("small")), string(got))
		must.Eq(t, image.Digest{}, f.Digest)
		must.NoError(t, f.Close())
	}
}

// sign signs small_1.0's .skein on the server, and returns the key for it.
func sign(t *testing.T, server *imagetest.Server, skein []byte) signify.PublicKey {
	t.Helper()
	k, err := signify.NewKey()
	must.NoError(t, err)
	sig, err := k.Sign(skein).Marshal("verify with test.pub")
	must.NoError(t, err)
	server.Put("small_1.0.xz.skein.sig", sig)
	return k.Public()
}

func TestPlace_Verify_signature(t *testing.T) {
	leak.Check(t)
	_, p, _, server := placed(t)
	skein := imagetest.Skein(small, []byte(imagetest.NoMeta))
	first := sign(t, server, skein)
	key := sign(t, server, skein)

	v, err := p.Verify(t.Context(), fetch.Checks{Key: &key})
	must.NoError(t, err)
	must.Eq(t, key.Number, *v.Key)

	before := server.Gets("small_1.0.xz")
	_, err = p.Verify(t.Context(), fetch.Checks{Key: &first})
	var wrong *signify.KeyError
	must.True(t, errors.As(err, &wrong), must.Sprint(err))

	other := imagetest.Skein([]byte("other"), nil)
	forged := sign(t, server, other)
	_, err = p.Verify(t.Context(), fetch.Checks{Key: &forged})
	must.ErrorIs(t, err, signify.ErrSignature)
	must.EqError(t, err, "verify "+p.String()+".skein.sig: signature does not match")

	// A digest that is signed, and not this image's.
	server.Put("small_1.0.xz.skein", other)
	_, err = p.Verify(t.Context(), fetch.Checks{Key: &forged})
	var digest *image.DigestError
	must.True(t, errors.As(err, &digest), must.Sprint(err))
	must.Eq(t, before+1, server.Gets("small_1.0.xz"), must.Sprint("nothing large is fetched before the signature is verified"))
}

// Each fault of a server, with SRC for the place.
func TestPlace_Verify_faults(t *testing.T) {
	leak.Check(t)
	const xz, skein, meta, sig = "small_1.0.xz", "small_1.0.xz.skein", "small_1.0.xz.meta", "small_1.0.xz.skein.sig"
	for name, c := range map[string]struct {
		file  string
		fault imagetest.Fault // nil: the file is put instead, or 404 for nil
		put   []byte
		want  string
		retry bool
	}{
		"no digest":         {skein, nil, nil, "fetch SRC.skein: 404 Not Found", false},
		"no signature":      {sig, nil, nil, "verify SRC.skein.sig: there is none, and key ", false},
		"no image":          {xz, nil, nil, "fetch SRC: 404 Not Found", false},
		"a large digest":    {skein, nil, make([]byte, 1025), "fetch SRC.skein: 1025 bytes, more than the 1024 allowed", false},
		"a large signature": {sig, nil, make([]byte, 2048), "fetch SRC.skein.sig: 2048 bytes, more than the 2047 allowed", false},
		"no signature here": {sig, imagetest.WebPage(), nil, "verify SRC.skein.sig: line 1: must be ", false},
		"a page":            {meta, imagetest.WebPage(), nil, "verify SRC.meta: a web page, not what an image was cloned from", false},
		"an ill .meta":      {meta, imagetest.Status(503), nil, "fetch SRC.meta: 503 Service Unavailable", true},
		"a .meta gone":      {meta, nil, nil, "verify SRC: image is not what was asked for: want ", false},
		"half an image":     {xz, imagetest.HangUp(), nil, "fetch SRC: after 40 of 80 bytes: unexpected EOF", true},
		"another image":     {xz, nil, []byte("other"), "verify SRC: image is not what was asked for: want ", false},
		"a way to a file":   {xz, imagetest.Redirect("file:///etc/passwd"), nil, "fetch SRC: redirect refused: from http to file", false},
		"a hidden redirect": {skein, imagetest.Redirect("ftp://x/"), nil, "fetch SRC.skein: redirect refused: from http to ftp", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, p, _, server := placed(t)
			key := sign(t, server, imagetest.Skein(small, []byte(imagetest.NoMeta)))
			switch {
			case c.fault != nil:
				server.Fail(c.file, c.fault)
			case c.put != nil:
				server.Put(c.file, c.put)
			default:
				server.Remove(c.file)
			}
			keep := t.TempDir()
			_, err := p.Open(t.Context(), fetch.Checks{Key: &key}, keep)
			must.Error(t, err)
			must.StrHasPrefix(t, strings.ReplaceAll(c.want, "SRC", p.String()), err.Error())
			must.Eq(t, c.retry, image.Retryable(err))
			must.MapLen(t, 0, imagetest.Files(t, keep))
		})
	}
}

func TestPlace_Verify_local(t *testing.T) {
	leak.Check(t)
	local, remote, dir, server := placed(t)
	path := filepath.Join(dir, "small_1.0.xz")
	t.Run("a fifo is not waited for", func(t *testing.T) {
		must.NoError(t, os.Rename(path+".skein", path+".away"))
		must.NoError(t, syscall.Mkfifo(path+".skein", 0o600))
		_, err := local.Verify(t.Context(), fetch.Checks{})
		must.EqError(t, err, "read "+path+".skein: not a regular file")
		must.NoError(t, os.Rename(path+".away", path+".skein"))
	})
	t.Run("a caller that cancels gets an error that says so", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("enough"))
		_, err := local.Verify(ctx, fetch.Checks{})
		must.ErrorContains(t, err, "enough")
	})
	t.Run("nowhere to keep it", func(t *testing.T) {
		_, err := remote.Open(t.Context(), fetch.Checks{}, filepath.Join(dir, "none"))
		must.ErrorContains(t, err, "keep "+remote.String()+": open ")
		var e *image.Error
		must.True(t, errors.As(err, &e))
		must.Eq(t, 0, server.Gets("small_1.0.xz.skein"))
	})
	t.Run("a stalled download ends when the caller cancels", func(t *testing.T) {
		server.Fail("small_1.0.xz", imagetest.Stall())
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := remote.Verify(ctx, fetch.Checks{})
		must.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("no image is told before no digest", func(t *testing.T) {
		must.NoError(t, os.Remove(path))
		_, err := local.Verify(t.Context(), fetch.Checks{})
		must.EqError(t, err, "read "+path+": no such file or directory")
	})
}

func TestMeta_String(t *testing.T) {
	leak.Check(t)
	for _, s := range []string{"-", "base:14.2@1795392222"} {
		m, err := image.ParseMeta([]byte(s + "\n"))
		must.NoError(t, err)
		must.Eq(t, s, m.String())
	}
}
