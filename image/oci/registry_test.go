package oci

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	registries "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// withBasic asks for a name and a password.
func withBasic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// dockerConfig writes a config.json with credentials for host.
func dockerConfig(t *testing.T, host, user, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	must.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, host, auth), 0o600))
	return path
}

func TestOpen_credentials(t *testing.T) {
	leak.Check(t)
	r := registries.New(registries.Logger(quiet()))
	public := httptest.NewServer(r)
	defer public.Close()
	push(t, strings.TrimPrefix(public.URL, "http://")+"/hello:1.0", hello())
	private := httptest.NewServer(withBasic(r))
	defer private.Close()
	host := strings.TrimPrefix(private.URL, "http://")
	from := "docker://" + host + "/hello:1.0"

	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("HOME", filepath.Dir(dockerConfig(t, host, "me", "s3cret"))) // is not looked at
	_, err := Open(t.Context(), from, amd64(t))
	must.ErrorIs(t, err, ErrDenied)
	must.EqError(t, err, from+": the registry denies access (HTTP status 401)")

	o := amd64(t)
	o.DockerConfig = dockerConfig(t, host, "me", "s3cret")
	got, err := tree(t, open(t, from, o))
	must.NoError(t, err)
	must.Eq(t, helloFiles, got)

	o.DockerConfig = dockerConfig(t, host, "me", "wrong")
	_, err = Open(t.Context(), from, o)
	must.ErrorIs(t, err, ErrDenied)
	must.StrNotContains(t, err.Error(), "wrong")
	o.DockerConfig = dockerConfig(t, "other.example.org", "me", "s3cret")
	_, err = Open(t.Context(), from, o)
	must.ErrorIs(t, err, ErrDenied)
	o.DockerConfig = "/none/config.json"
	_, err = Open(t.Context(), from, o)
	must.ErrorIs(t, err, os.ErrNotExist)
	bad := filepath.Join(t.TempDir(), "config.json")
	must.NoError(t, os.WriteFile(bad, []byte("<html>"), 0o600))
	o.DockerConfig = bad
	_, err = Open(t.Context(), from, o)
	must.ErrorContains(t, err, "is no configuration of docker")

	t.Setenv("DOCKER_CONFIG", filepath.Dir(dockerConfig(t, host, "me", "s3cret")))
	got, err = tree(t, open(t, from, amd64(t)))
	must.NoError(t, err)
	must.Eq(t, helloFiles, got)
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // has no config.json
	_, err = Open(t.Context(), from, amd64(t))
	must.ErrorIs(t, err, ErrDenied)
}

func TestOpen_encrypted(t *testing.T) {
	leak.Check(t)
	r := registries.New(registries.Logger(quiet()))
	public := httptest.NewServer(r)
	defer public.Close()
	push(t, strings.TrimPrefix(public.URL, "http://")+"/hello:1.0", hello())
	secure := httptest.NewTLSServer(r)
	defer secure.Close()
	secure.Config.ErrorLog = quiet()
	from := "docker://" + strings.TrimPrefix(secure.URL, "https://") + "/hello:1.0"
	_, err := Open(t.Context(), from, amd64(t))
	must.Error(t, err) // the authority is not known
	o := amd64(t)
	o.Insecure = true
	got, err := tree(t, open(t, from, o))
	must.NoError(t, err)
	must.Eq(t, helloFiles, got)
}

// transportOf is a function as a transport.
type transportOf func(*http.Request) (*http.Response, error)

func (f transportOf) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestGuard(t *testing.T) {
	leak.Check(t)
	reached := errors.New("reached")
	next := transportOf(func(*http.Request) (*http.Response, error) { return nil, reached })
	for url, want := range map[string]error{
		"https://registry.example.org/v2/": reached,
		"http://registry.example.org/v2/":  ErrPlainHTTP,
		"http://10.1.2.3:5000/v2/":         ErrPlainHTTP,
		"http://host.local/v2/":            ErrPlainHTTP,
		"http://localhost:5000/v2/":        reached,
		"http://127.0.0.1:5000/v2/":        reached,
		"http://[::1]:5000/v2/":            reached,
		"http://localhost.example.org/":    ErrPlainHTTP,
	} {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		must.NoError(t, err)
		_, err = guard{next, false}.RoundTrip(r)
		must.Eq(t, want, err, must.Sprint(url))
		_, err = guard{next, true}.RoundTrip(r)
		must.Eq(t, reached, err)
	}
}

// A registry on this host that redirects to plain HTTP elsewhere is not followed, and neither
// is a token server there asked.
func TestOpen_redirected(t *testing.T) {
	leak.Check(t)
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				http.Redirect(w, r, "http://registry.example.org/", http.StatusFound)
			}
		},
		"a token server": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://registry.example.org/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(answer)
			defer s.Close()
			_, err := Open(t.Context(), "docker://"+strings.TrimPrefix(s.URL, "http://")+"/hello:1.0", amd64(t))
			must.ErrorIs(t, err, ErrPlainHTTP)
		})
	}
}

func TestOpen_unreachable(t *testing.T) {
	leak.Check(t)
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := Open(t.Context(), "docker://"+strings.TrimPrefix(s.URL, "http://")+"/hello:1.0", amd64(t))
	must.ErrorContains(t, err, "the registry cannot be reached: ")
	for status, want := range map[int]string{
		404: "the registry has no such image", 403: "the registry denies access (HTTP status 403)",
		429: "the registry limits how often images are pulled (HTTP status 429)", 500: "the registry fails: HTTP status 500",
	} {
		must.EqError(t, explain(&transport.Error{StatusCode: status}), want)
	}
}

// A registry that sends something else than it promised is refused.
func TestOpen_lies(t *testing.T) {
	leak.Check(t)
	r := registries.New(registries.Logger(quiet()))
	image := hello()
	layers, err := image.Layers()
	must.NoError(t, err)
	digest, err := layers[1].Digest()
	must.NoError(t, err)
	size, err := layers[1].Size()
	must.NoError(t, err)
	first := httptest.NewServer(r)
	defer first.Close()
	push(t, strings.TrimPrefix(first.URL, "http://")+"/hello:1.0", image)
	for name, c := range map[string]struct {
		send []byte
		more int // bytes that are promised and not sent
	}{
		"nothing":        {nil, 0},
		"too little":     {make([]byte, size-1), 0},
		"too much":       {make([]byte, size+1), 0},
		"other bytes":    {make([]byte, size), 0},
		"it breaks off":  {make([]byte, size/2), int(size - size/2)},
		"an error page":  {[]byte("<html>"), 0},
		"an endless one": {make([]byte, 8<<20), 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if !strings.HasSuffix(req.URL.Path, digest.Hex) {
					r.ServeHTTP(w, req)
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(c.send)+c.more))
				_, _ = w.Write(c.send)
			}))
			defer s.Close()
			s.Config.ErrorLog = quiet()
			i := open(t, "docker://"+strings.TrimPrefix(s.URL, "http://")+"/hello:1.0", amd64(t))
			_, err := tree(t, i)
			must.ErrorContains(t, err, "layer 2 ("+digest.String()+"): ")
		})
	}
}
