package store_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/store"
)

// newSigner is a new key pair.
func newSigner(t *testing.T) (signify.SecretKey, *signify.PublicKey) {
	t.Helper()
	secret, err := signify.NewKey()
	must.NoError(t, err)
	public := secret.Public()
	return secret, &public
}

// serveSignature serves the signature of an image's digest.
func serveSignature(t *testing.T, s *imagetest.Server, name string, skein []byte, key signify.SecretKey) {
	t.Helper()
	b, err := key.Sign(skein).Marshal("verify with x.pub")
	must.NoError(t, err)
	s.Put(name+"_1.0.xz.skein.sig", b)
}

// An image is taken if it is signed by the key that is asked for, in whatever way it
// came to be there.
func TestStore_Ensure_signed(t *testing.T) {
	leak.Check(t)
	xz := smallImage
	secret, key := newSigner(t)
	other, otherKey := newSigner(t)
	skein := imagetest.Skein(xz, []byte(imagetest.NoMeta))
	opts := image.PullOptions{Key: key}

	t.Run("none", func(t *testing.T) {
		b := newRig(t)
		_, err := b.Ensure(t.Context(), b.small, opts, nil)
		must.ErrorContains(t, err, "there is none, and key "+key.Number.String()+" must have signed the image")
		must.False(t, image.Retryable(err))
		must.Eq(t, 0, b.server.Gets(b.small.File()))
		b.nothingMade(t)
	})
	t.Run("of another key", func(t *testing.T) {
		b := newRig(t)
		serveSignature(t, b.server, "small", skein, other)
		_, err := b.Ensure(t.Context(), b.small, opts, nil)
		must.ErrorContains(t, err, "signed with key "+otherKey.Number.String())
		b.nothingMade(t)
	})
	t.Run("of another digest", func(t *testing.T) {
		b := newRig(t)
		serveSignature(t, b.server, "small", []byte("other\n"), secret)
		_, err := b.Ensure(t.Context(), b.small, opts, nil)
		must.ErrorIs(t, err, signify.ErrSignature)
		b.nothingMade(t)
	})
	t.Run("right, and known from then on", func(t *testing.T) {
		b := newRig(t)
		serveSignature(t, b.server, "small", skein, secret)
		_, err := b.Ensure(t.Context(), b.small, opts, nil)
		must.NoError(t, err)
		asked := b.server.Gets(b.small.File() + ".skein")
		_, err = b.Ensure(t.Context(), b.small, opts, nil)
		must.NoError(t, err)
		must.Eq(t, asked, b.server.Gets(b.small.File()+".skein"))

		_, err = b.Ensure(t.Context(), b.small, image.PullOptions{Key: otherKey}, nil)
		must.ErrorContains(t, err, "signed with key "+key.Number.String())
	})
	t.Run("asked for when the image was imported without", func(t *testing.T) {
		b := newRig(t)
		_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		_, err = b.Ensure(t.Context(), b.small, opts, nil)
		must.ErrorContains(t, err, "must have signed the image")
		serveSignature(t, b.server, "small", skein, secret)
		_, err = b.Ensure(t.Context(), b.small, opts, nil)
		must.NoError(t, err)
		must.Eq(t, 1, b.datasets.Received())
	})
	t.Run("of another image than the one that is there, which is not used for it", func(t *testing.T) {
		b := newRig(t)
		first, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		newer := imagetest.XZ(imagetest.Stream("other"))
		b.server.Add("small", "1.0", newer, imagetest.NoMeta)
		serveSignature(t, b.server, "small", imagetest.Skein(newer, []byte(imagetest.NoMeta)), secret)
		signed, err := b.Ensure(t.Context(), b.small, opts, nil)
		must.NoError(t, err)
		must.NotEq(t, first.Name, signed.Name)
		must.Eq(t, imagetest.Digest(t, newer, []byte(imagetest.NoMeta)), signed.Digest)
	})
}

// Who may not ask the source may not use what others had from it.
func TestStore_Ensure_login(t *testing.T) {
	leak.Check(t)
	logins := map[string]image.Credentials{
		"basic":  {Username: "ann", Password: "geheim-1"},
		"bearer": {Token: "geheim-2"},
		"header": {Header: "X-Token: geheim-3"},
	}
	likes := func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		return user+password == "anngeheim-1" || r.Header.Get("Authorization") == "Bearer geheim-2" || r.Header.Get("X-Token") == "geheim-3"
	}
	for name, login := range logins {
		t.Run(name, func(t *testing.T) {
			b := newRig(t)
			b.server.Guard(likes)
			_, err := b.Ensure(t.Context(), b.small, anyImage, nil)
			must.ErrorContains(t, err, "401 Unauthorized")
			must.False(t, image.Retryable(err))

			var said []string
			_, err = b.Ensure(t.Context(), b.small, image.PullOptions{Credentials: login}, func(m string) { said = append(said, m) })
			must.NoError(t, err)
			labels, err := b.datasets.Labels(t.Context(), "small_1_0")
			must.NoError(t, err)
			for _, text := range append(said, labels[store.LabelRef], labels[store.LabelLogin]) {
				must.StrNotContains(t, text, "geheim")
			}
			for _, wrong := range []image.Credentials{{}, {Token: "geheim-9"}} {
				for _, digest := range []image.Digest{{}, imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta))} {
					_, err = b.Ensure(t.Context(), b.small, image.PullOptions{Credentials: wrong, Digest: digest}, nil)
					must.ErrorContains(t, err, "401 Unauthorized")
					must.StrNotContains(t, err.Error(), "geheim")
				}
			}
			must.NoError(t, b.datasets.Destroy(t.Context(), "small_1_0")) // the files are in the cache
			_, err = b.Ensure(t.Context(), b.small, image.PullOptions{Digest: imagetest.Digest(t, smallImage, []byte(imagetest.NoMeta))}, nil)
			must.ErrorContains(t, err, "401 Unauthorized")
			_, err = b.Ensure(t.Context(), b.small, image.PullOptions{Credentials: login}, nil)
			must.NoError(t, err)
		})
	}
	t.Run("no other server is shown it", func(t *testing.T) {
		b := newRig(t)
		var seen []string
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.Header.Get("Authorization")+r.Header.Get("X-Token"))
			http.NotFound(w, r)
		}))
		defer other.Close()
		b.server.Fail(b.small.File()+".skein", imagetest.Redirect(other.URL+"/x"))
		for _, login := range logins {
			_, err := b.Ensure(t.Context(), b.small, image.PullOptions{Credentials: login}, nil)
			must.Error(t, err)
		}
		must.Eq(t, []string{"", "", ""}, seen)
	})
	t.Run("a server that wants none may be asked without", func(t *testing.T) {
		b := newRig(t)
		b.server.Guard(func(r *http.Request) bool { return r.Header.Get("Authorization") == "" })
		_, err := b.Ensure(t.Context(), b.small, image.PullOptions{Credentials: logins["basic"]}, nil)
		must.ErrorContains(t, err, "401 Unauthorized")
		_, err = b.Ensure(t.Context(), b.small, image.PullOptions{Credentials: logins["basic"], AuthSoftFail: true}, nil)
		must.NoError(t, err)
	})
}

// Asked again, a source that serves another image has it imported beside the one that is
// there, which may be in use, and stands for it from then on.
func TestStore_Ensure_again(t *testing.T) {
	leak.Check(t)
	b := newRig(t)
	first, err := b.Ensure(t.Context(), b.small, anyImage, nil)
	must.NoError(t, err)
	again := image.PullOptions{ForcePull: true}
	same, err := b.Ensure(t.Context(), b.small, again, nil)
	must.NoError(t, err)
	must.Eq(t, first, same)
	must.Eq(t, 1, b.datasets.Received())

	b.server.Add("small", "1.0", imagetest.XZ(imagetest.Stream("newer")), imagetest.NoMeta)
	b.datasets.Busy = map[string]bool{"small_1_0": true}
	old, err := b.Ensure(t.Context(), b.small, anyImage, nil)
	must.NoError(t, err)
	must.Eq(t, first, old)

	newer, err := b.Ensure(t.Context(), b.small, again, nil)
	must.NoError(t, err)
	must.NotEq(t, first.Digest, newer.Digest)
	must.Eq(t, []string{"small_1_0", newer.Name}, b.datasets.Names())
	asked := b.server.Gets(b.small.File() + ".skein")
	for range 2 {
		now, err := b.Ensure(t.Context(), b.small, anyImage, nil)
		must.NoError(t, err)
		must.Eq(t, newer, now)
	}
	pinned, err := b.Ensure(t.Context(), b.small, image.PullOptions{Digest: first.Digest}, nil)
	must.NoError(t, err)
	must.Eq(t, first, pinned)
	must.Eq(t, asked, b.server.Gets(b.small.File()+".skein"))

	b.server.Add("small", "1.0", smallImage, imagetest.NoMeta) // back again
	for _, opts := range []image.PullOptions{again, anyImage} {
		back, err := b.Ensure(t.Context(), b.small, opts, nil)
		must.NoError(t, err)
		must.Eq(t, first, back)
	}
	must.Eq(t, 2, b.datasets.Received())
}

// A server is who a private authority says it is.
func TestReadRoots(t *testing.T) {
	leak.Check(t)
	files := imagetest.NewServer(t)
	server := httptest.NewTLSServer(files)
	defer server.Close()
	ref := image.Ref{Source: server.URL, Name: imagetest.HelloName, Tag: imagetest.HelloTag}
	_, err := fetch.NewCache(t.TempDir(), fetch.Options{}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
	must.ErrorContains(t, err, "certificate")
	must.False(t, image.Retryable(err))

	file := filepath.Join(t.TempDir(), "ca.pem")
	must.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	roots, err := fetch.ReadRoots(file)
	must.NoError(t, err)
	f, err := fetch.NewCache(t.TempDir(), fetch.Options{Roots: roots}).Fetch(t.Context(), ref, image.PullOptions{}, nil)
	must.NoError(t, err)
	must.NoError(t, f.Close())

	must.NoError(t, os.WriteFile(file, []byte("none"), 0o600))
	_, err = fetch.ReadRoots(file)
	must.ErrorContains(t, err, "no certificate in PEM")
	_, err = fetch.ReadRoots("/nonexistent")
	must.ErrorIs(t, err, os.ErrNotExist)
}

// What is below a URL is so by its parts, not by its letters.
func TestPrefix(t *testing.T) {
	leak.Check(t)
	for prefix, sources := range map[string]map[string]bool{
		"https://example.org/pots": {
			"https://example.org/pots": true, "https://example.org/pots/": true, "https://example.org/pots/a/b": true,
			"https://EXAMPLE.org:443/pots/a": true, "https://example.org./pots": true,
			"http://example.org/pots": false, "https://example.org/pots-of-mine": false, "https://example.org": false,
			"https://example.org.evil/pots": false, "https://example.org:8443/pots": false, "https://evil/https://example.org/pots": false,
			"https://example.org/pots/../x": false, "https://example.org/pots/%2e%2e/x": false, "https://example.org/pots/a%2fb": false,
			"https://example.org/pots//x": false, "https://example.org/POTS": false, "https://user@example.org/pots": false,
			"https://example.org@evil/pots": false, "": false,
		},
		"file:///srv/pots": {"file:///srv/pots/a": true, "file:///srv/potsa": false, "file:///srv/pots/../x": false},
		"http://h":         {"http://h": true, "http://h/any/thing": true, "http://h:80": true, "http://hh": false},
	} {
		p, err := image.ParsePrefix(prefix)
		must.NoError(t, err)
		for source, want := range sources {
			must.Eq(t, want, p.Covers(source), must.Sprint(prefix, " ", source))
		}
	}
	for _, bad := range []string{"", "example.org", "https://example.org/a/../b", "ftp://x", "https://u:p@h/"} {
		_, err := image.ParsePrefix(bad)
		must.Error(t, err, must.Sprint(bad))
		must.StrNotContains(t, err.Error(), "u:p")
	}
}

// A file of credentials is for its owner alone, and quotes none of them.
func TestReadLogins(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "auth.json")
	write := func(text string, mode os.FileMode) {
		must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		must.NoError(t, os.Chmod(file, mode))
	}
	write(`{"https://example.org": {"token": "t1"}, "https://example.org/pots": {"username": "ann", "password": "p"}}`, 0o600)
	all, err := image.ReadCredentials(file)
	must.NoError(t, err)
	for source, want := range map[string]image.Credentials{
		"https://example.org/x":      {Token: "t1"},
		"https://example.org/pots/a": {Username: "ann", Password: "p"},
		"https://example.com":        {},
	} {
		got := all.For(source)
		must.True(t, want == got, must.Sprint(source))
	}
	for text, want := range map[string]string{
		`{"https://h": {"token": "geheim", "username": "a"}}`: "one of them",
		`{"https://h": {"passwort": "geheim"}}`:               "must be an object in JSON",
		`{"ftp://h": {"token": "geheim"}}`:                    "must be http, https or file",
		`{"https://h": {"token": "geheim"}`:                   "must be an object in JSON",
		`{"https://h": {"header": "Host: geheim"}}`:           "must not be one that requests have anyway",
		`{"https://h": {"token": "geheim\n"}}`:                "token: must be printable",
		`{} {}`:                                               "more than one object",
		`]`:                                                   "not JSON",
	} {
		write(text, 0o600)
		_, err := image.ReadCredentials(file)
		must.ErrorContains(t, err, want)
		must.False(t, strings.Contains(err.Error(), "geheim"), must.Sprint(err))
	}
	write(`{}`, 0o640)
	_, err = image.ReadCredentials(file)
	must.ErrorContains(t, err, "others can use it: its mode must be 0600, not 0640")
}
