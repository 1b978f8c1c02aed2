package ocitest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Registry is a registry on this machine, which counts what is asked of it.
type Registry struct {
	Host string // and port

	handler http.Handler
	mu      sync.Mutex
	gets    map[string]int // by path
	guard   func(w http.ResponseWriter, r *http.Request) bool
}

// NewRegistry starts a registry that ends with the test.
func NewRegistry(t testing.TB) *Registry {
	g := &Registry{handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), gets: map[string]int{}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.Host = strings.TrimPrefix(server.URL, "http://")
	return g
}

// ServeHTTP implements http.Handler.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if r.Method == http.MethodGet {
		g.gets[r.URL.Path]++
	}
	guard := g.guard
	g.mu.Unlock()
	if guard == nil || guard(w, r) {
		g.handler.ServeHTTP(w, r)
	}
}

// Guard has a function answer each request, or return true for the registry's own answer. nil
// answers none.
func (g *Registry) Guard(guard func(w http.ResponseWriter, r *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.guard = guard
}

// Gets returns how many GET requests there were whose path has part in it.
func (g *Registry) Gets(part string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for path, times := range g.gets {
		if strings.Contains(path, part) {
			n += times
		}
	}
	return n
}

// Push stores an image as REPO:TAG, not through the guard, and returns its digest.
func (g *Registry) Push(ref string, image v1.Image) string {
	to, err := name.ParseReference(g.Host + "/" + ref)
	check(err)
	check(remote.Write(to, image, remote.WithTransport(direct{g.handler})))
	digest, err := image.Digest()
	check(err)
	return digest.String()
}

// Basic returns a guard that asks for a name and a password.
func Basic(user, password string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, _ := r.BasicAuth(); u == user && p == password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		http.Error(w, "no", http.StatusUnauthorized)
		return false
	}
}

// direct is a transport to a handler.
type direct struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}
