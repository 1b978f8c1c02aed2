package push_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/push"
)

// pushed is an image on disk, of that content, and its place.
func pushed(t *testing.T, content, meta string) fetch.Location {
	t.Helper()
	at := filepath.Join(t.TempDir(), "web_1.0.xz")
	xz := imagetest.XZ([]byte(content))
	must.NoError(t, os.WriteFile(at, xz, 0o600))
	if meta != "" {
		must.NoError(t, os.WriteFile(at+".meta", []byte(meta), 0o600))
	}
	must.NoError(t, os.WriteFile(at+".skein", imagetest.Skein(xz, []byte(meta)), 0o600))
	p, err := fetch.ParseLocation(at)
	must.NoError(t, err)
	return p
}

// quickly tries again at once.
func quickly(o push.PushOptions) push.PushOptions {
	o.Wait = func(int) time.Duration { return 0 }
	return o
}

// samePushed says that what is at the URL or path is the image at p.
func samePushed(t *testing.T, p fetch.Location, at string) {
	t.Helper()
	want, err := p.Verify(t.Context(), fetch.Checks{})
	must.NoError(t, err)
	there, err := fetch.ParseLocation(at)
	must.NoError(t, err)
	got, err := there.Verify(t.Context(), fetch.Checks{})
	must.NoError(t, err)
	must.Eq(t, want, got)
}

func TestPush_server(t *testing.T) {
	leak.Check(t)
	t.Run("the .skein comes last, when all else is right", func(t *testing.T) {
		s, p := imagetest.NewTarget(t), pushed(t, "one", "-\n")
		var sent, back int64
		got, err := push.Push(t.Context(), p, s.URL, push.PushOptions{
			Sent: func(done, _ int64) { sent = done }, Back: func(done, _ int64) { back = done },
		})
		must.NoError(t, err)
		must.Eq(t, s.URL+"/web_1.0.xz", got.To)
		must.False(t, got.Already)
		must.Eq(t, got.Bytes, sent)
		must.Eq(t, got.Bytes, back)
		must.Eq(t, []string{"PUT web_1.0.xz Created", "PUT web_1.0.xz.meta Created", "PUT web_1.0.xz.skein Created"}, s.Changes())
		samePushed(t, p, s.URL+"/web_1.0.xz")
	})
	t.Run("again it is there already", func(t *testing.T) {
		s, p := imagetest.NewTarget(t), pushed(t, "one", "")
		_, err := push.Push(t.Context(), p, s.URL+"/", push.PushOptions{})
		must.NoError(t, err)
		before := s.Changes()
		got, err := push.Push(t.Context(), p, s.URL, push.PushOptions{})
		must.NoError(t, err)
		must.True(t, got.Already)
		must.Eq(t, before, s.Changes())
	})
	t.Run("another of its name stays, unless it is to be replaced", func(t *testing.T) {
		s, old, p := imagetest.NewTarget(t), pushed(t, "old", "-\n"), pushed(t, "new", "")
		_, err := push.Push(t.Context(), old, s.URL, push.PushOptions{})
		must.NoError(t, err)
		s.Put("web_1.0.xz.skein.sig", []byte("of the old one"))
		_, err = push.Push(t.Context(), p, s.URL, push.PushOptions{})
		must.ErrorIs(t, err, fs.ErrExist)
		samePushed(t, old, s.URL+"/web_1.0.xz")

		n := len(s.Changes())
		_, err = push.Push(t.Context(), p, s.URL, push.PushOptions{Replace: true})
		must.NoError(t, err)
		must.Eq(t, []string{
			"DELETE web_1.0.xz.skein No Content", "PUT web_1.0.xz Created",
			"DELETE web_1.0.xz.meta No Content", "DELETE web_1.0.xz.skein.sig No Content", "PUT web_1.0.xz.skein Created",
		}, s.Changes()[n:])
		samePushed(t, p, s.URL+"/web_1.0.xz")
	})
	t.Run("a server that cannot take it away keeps all of it", func(t *testing.T) {
		s, old := imagetest.NewTarget(t), pushed(t, "old", "-\n")
		_, err := push.Push(t.Context(), old, s.URL, push.PushOptions{})
		must.NoError(t, err)
		s.RefuseDelete()
		_, err = push.Push(t.Context(), pushed(t, "new", ""), s.URL, push.PushOptions{Replace: true})
		must.EqError(t, err, "publish "+s.URL+"/web_1.0.xz.skein: 405 Method Not Allowed")
		samePushed(t, old, s.URL+"/web_1.0.xz")
	})
	t.Run("one that is damaged there is mended", func(t *testing.T) {
		s, p := imagetest.NewTarget(t), pushed(t, "one", "-\n")
		_, err := push.Push(t.Context(), p, s.URL, push.PushOptions{})
		must.NoError(t, err)
		s.Put("web_1.0.xz", []byte("damaged"))
		got, err := push.Push(t.Context(), p, s.URL, push.PushOptions{})
		must.NoError(t, err)
		must.False(t, got.Already)
		samePushed(t, p, s.URL+"/web_1.0.xz")
		s.ForgetCorrupt()
	})
	t.Run("what may succeed later is sent again", func(t *testing.T) {
		s, p := imagetest.NewTarget(t), pushed(t, "one", "-\n")
		s.Fail("PUT web_1.0.xz", imagetest.Status(http.StatusBadGateway), imagetest.Status(http.StatusTooManyRequests))
		s.Fail("PUT web_1.0.xz.skein", func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) })
		_, err := push.Push(t.Context(), p, s.URL, quickly(push.PushOptions{Retries: 2}))
		must.NoError(t, err)
		samePushed(t, p, s.URL+"/web_1.0.xz")
	})
	t.Run("and not without end, nor what will not", func(t *testing.T) {
		s, p := imagetest.NewTarget(t), pushed(t, "one", "-\n")
		ill := imagetest.Status(http.StatusServiceUnavailable)
		s.Fail("PUT web_1.0.xz", ill, ill, ill)
		_, err := push.Push(t.Context(), p, s.URL, quickly(push.PushOptions{Retries: 2}))
		must.EqError(t, err, "publish "+s.URL+"/web_1.0.xz: 503 Service Unavailable")
		must.Len(t, 3, s.Changes())
		s.Fail("PUT web_1.0.xz", imagetest.Status(http.StatusForbidden))
		_, err = push.Push(t.Context(), p, s.URL, quickly(push.PushOptions{Retries: 2}))
		must.EqError(t, err, "publish "+s.URL+"/web_1.0.xz: 403 Forbidden")
		must.Len(t, 4, s.Changes())
	})
	t.Run("what a server makes something else of is not offered", func(t *testing.T) {
		s, p := imagetest.NewTarget(t), pushed(t, "one", "-\n")
		s.Fail("PUT web_1.0.xz", func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusCreated) })
		_, err := push.Push(t.Context(), p, s.URL, push.PushOptions{})
		must.EqError(t, err, "read back "+s.URL+"/web_1.0.xz: 404 Not Found")
		must.Nil(t, s.File("web_1.0.xz.skein"))
		s.Fail("GET web_1.0.xz", func(w http.ResponseWriter, _ *http.Request, f []byte) { w.Write(slices.Repeat([]byte("x"), len(f))) })
		_, err = push.Push(t.Context(), p, s.URL, push.PushOptions{})
		must.ErrorContains(t, err, "publish "+s.URL+"/web_1.0.xz: image is not what was asked for")
		must.Nil(t, s.File("web_1.0.xz.skein"))
	})
	t.Run("what is not offered any more is said to be so", func(t *testing.T) {
		s := imagetest.NewTarget(t)
		_, err := push.Push(t.Context(), pushed(t, "old", ""), s.URL, push.PushOptions{})
		must.NoError(t, err)
		s.Fail("PUT web_1.0.xz", imagetest.Status(http.StatusInsufficientStorage))
		_, err = push.Push(t.Context(), pushed(t, "new", ""), s.URL, push.PushOptions{Replace: true})
		must.ErrorContains(t, err, "it is not offered any more until it is published again")
	})
	t.Run("it can be called off", func(t *testing.T) {
		s, p := imagetest.NewTarget(t), pushed(t, "one", "-\n")
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		_, err := push.Push(ctx, p, s.URL, push.PushOptions{Retries: 9, Sent: func(int64, int64) { cancel(enough) }})
		must.ErrorIs(t, err, enough)
		must.Nil(t, s.File("web_1.0.xz.skein"))
	})
}

func TestPush_auth(t *testing.T) {
	leak.Check(t)
	for ask, auth := range map[string]image.Credentials{
		"Authorization: Bearer s3cret":           {Token: "s3cret"},
		"Authorization: Basic bWU6czNjcmV0":      {Username: "me", Password: "s3cret"},
		"Private-Token: s3cret":                  {Header: "PRIVATE-TOKEN:  s3cret"},
		"Authorization: AWS4-HMAC-SHA256 s3cret": {Header: "Authorization: AWS4-HMAC-SHA256 s3cret"},
	} {
		s := imagetest.NewTarget(t)
		s.RequireHeader = ask
		_, err := push.Push(t.Context(), pushed(t, "one", "-\n"), s.URL, push.PushOptions{Credentials: auth})
		must.NoError(t, err)
		_, err = push.Push(t.Context(), pushed(t, "one", "-\n"), s.URL, push.PushOptions{})
		must.ErrorContains(t, err, "401 Unauthorized")
	}
	t.Run("it goes to that server alone", func(t *testing.T) {
		s, other := imagetest.NewTarget(t), imagetest.NewTarget(t)
		other.RequireHeader = "Authorization: Bearer s3cret"
		s.Fail("PUT web_1.0.xz", func(w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, other.URL+"/web_1.0.xz", http.StatusTemporaryRedirect)
		})
		_, err := push.Push(t.Context(), pushed(t, "one", "-\n"), s.URL, push.PushOptions{Credentials: image.Credentials{Token: "s3cret"}})
		must.EqError(t, err, "publish "+s.URL+"/web_1.0.xz: 401 Unauthorized")
	})
	t.Run("over http anybody hears it", func(t *testing.T) {
		var warned string
		o := push.PushOptions{Credentials: image.Credentials{Token: "s3cret"}, Warn: func(s string) { warned = s }}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := push.Push(ctx, pushed(t, "one", "-\n"), "http://images.example.org/pots", o)
		must.Error(t, err)
		must.StrContains(t, warned, "credentials are sent to images.example.org over http")
		must.StrNotContains(t, warned+err.Error(), "s3cret")
	})
	for _, header := range []string{"s3cret", ": s3cret", "A B: s3cret", "A: s3cret\nB: c", "A: "} {
		_, err := push.Push(t.Context(), pushed(t, "one", "-\n"), "http://127.0.0.1:1/", push.PushOptions{Credentials: image.Credentials{Header: header}})
		must.EqError(t, err, `credentials: header: must be "Name: value"`)
	}
}

func TestPush_directory(t *testing.T) {
	leak.Check(t)
	t.Run("all files are there, for all to read, and no others", func(t *testing.T) {
		dir, p := t.TempDir(), pushed(t, "one", "-\n")
		got, err := push.Push(t.Context(), p, "file://"+dir, push.PushOptions{})
		must.NoError(t, err)
		must.Eq(t, dir+"/web_1.0.xz", got.To)
		samePushed(t, p, got.To)
		entries, err := os.ReadDir(dir)
		must.NoError(t, err)
		must.Len(t, 3, entries)
		for _, e := range entries {
			info, err := e.Info()
			must.NoError(t, err)
			must.Eq(t, fs.FileMode(0o644), info.Mode())
		}
		got, err = push.Push(t.Context(), p, dir, push.PushOptions{})
		must.NoError(t, err)
		must.True(t, got.Already)
	})
	t.Run("another of its name stays, unless it is to be replaced", func(t *testing.T) {
		dir, old, p := t.TempDir(), pushed(t, "old", "-\n"), pushed(t, "new", "")
		_, err := push.Push(t.Context(), old, dir, push.PushOptions{})
		must.NoError(t, err)
		_, err = push.Push(t.Context(), p, dir, push.PushOptions{})
		must.EqError(t, err, "publish "+dir+"/web_1.0.xz: another image of that name: file already exists")
		samePushed(t, old, dir+"/web_1.0.xz")
		_, err = push.Push(t.Context(), p, dir, push.PushOptions{Replace: true})
		must.NoError(t, err)
		samePushed(t, p, dir+"/web_1.0.xz")
		must.False(t, slices.ContainsFunc(pushedNames(t, dir), func(n string) bool { return strings.HasSuffix(n, ".meta") }))
	})
	t.Run("many at once do not mix", func(t *testing.T) {
		dir := t.TempDir()
		places := []fetch.Location{pushed(t, "a", ""), pushed(t, "b", "-\n"), pushed(t, "c", "")}
		errs := make(chan error)
		for _, p := range places {
			go func() {
				_, err := push.Push(t.Context(), p, dir, push.PushOptions{Replace: true})
				errs <- err
			}()
		}
		for range places {
			must.NoError(t, <-errs)
		}
		at, err := fetch.ParseLocation(dir + "/web_1.0.xz")
		must.NoError(t, err)
		_, err = at.Verify(t.Context(), fetch.Checks{})
		must.NoError(t, err)
	})
	t.Run("nothing is left of one that was called off", func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := push.Push(ctx, pushed(t, strings.Repeat("one", 1<<16), "-\n"), dir, push.PushOptions{Sent: func(int64, int64) { cancel() }})
		must.ErrorIs(t, err, context.Canceled)
		must.SliceNotContains(t, pushedNames(t, dir), "web_1.0.xz.skein")
		must.False(t, slices.ContainsFunc(pushedNames(t, dir), func(n string) bool { return n[0] == '.' }))
	})
	t.Run("it must be there", func(t *testing.T) {
		_, err := push.Push(t.Context(), pushed(t, "one", ""), "/nosuch/dir", push.PushOptions{})
		must.EqError(t, err, "publish /nosuch/dir: no such file or directory")
	})
}

func pushedNames(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestPush_refused(t *testing.T) {
	leak.Check(t)
	s := imagetest.NewTarget(t)
	damaged := pushed(t, "one", "-\n")
	must.NoError(t, os.WriteFile(damaged.String(), []byte("two"), 0o600))
	_, err := push.Push(t.Context(), damaged, s.URL, push.PushOptions{})
	must.ErrorContains(t, err, "image is not what was asked for")
	must.SliceEmpty(t, s.Changes())

	for to, want := range map[string]string{
		"":                          "where to publish must be a directory or a URL",
		"ftp://example.org/":        "must be http, https or file, not \"ftp://example.org/\"",
		"https://me:pw@example.org": "must not hold a user or a password: https://example.org",
	} {
		_, err := push.Push(t.Context(), pushed(t, "one", ""), to, push.PushOptions{})
		must.EqError(t, err, want)
	}
	odd := filepath.Join(t.TempDir(), "web 1.0.xz")
	at, err := fetch.ParseLocation(odd)
	must.NoError(t, err)
	_, err = push.Push(t.Context(), at, s.URL, push.PushOptions{})
	must.EqError(t, err, "publish "+odd+": its name must be as in hello_1.0.xz")
	web, err := fetch.ParseLocation(s.URL + "/web_1.0.xz")
	must.NoError(t, err)
	_, err = push.Push(t.Context(), web, t.TempDir(), push.PushOptions{})
	must.EqError(t, err, "publish "+s.URL+"/web_1.0.xz: is not on this machine")
}

// TestPush_takenMeanwhile has another image published while one is sent.
func TestPush_takenMeanwhile(t *testing.T) {
	leak.Check(t)
	other := map[string]string{"web_1.0.xz": "other", "web_1.0.xz.meta": "-\n", "web_1.0.xz.skein": string(imagetest.Skein([]byte("other"), []byte("-\n")))}
	meanwhile := func(put func(name string, data []byte)) push.PushOptions {
		done := false
		return push.PushOptions{Back: func(int64, int64) {
			if !done {
				done = true
				for _, name := range []string{"web_1.0.xz", "web_1.0.xz.meta", "web_1.0.xz.skein"} {
					put(name, []byte(other[name]))
				}
			}
		}}
	}
	t.Run("on a server", func(t *testing.T) {
		s := imagetest.NewTarget(t)
		_, err := push.Push(t.Context(), pushed(t, "one", "-\n"), s.URL, meanwhile(s.Put))
		must.ErrorIs(t, err, fs.ErrExist)
		must.ErrorContains(t, err, "another image of that name")
		must.Eq(t, other["web_1.0.xz.skein"], string(s.File("web_1.0.xz.skein")))
	})
	t.Run("in a directory, by another program", func(t *testing.T) {
		dir := t.TempDir()
		_, err := push.Push(t.Context(), pushed(t, "one", "-\n"), dir, meanwhile(func(name string, data []byte) {
			must.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
		}))
		must.ErrorIs(t, err, fs.ErrExist)
		must.Eq(t, other, imagetest.Files(t, dir))
	})
}
