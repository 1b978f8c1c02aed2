package imagetest

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"nomad-driver-pot/image/skein"
)

// Shelf is a server that images are published on: it takes PUT and DELETE. Whatever
// happens to it, it says when an image is offered that is not whole.
type Shelf struct {
	URL string

	// Ask is what a request must have; "" is anything.
	Ask string // "NAME: VALUE"

	mu      sync.Mutex
	files   map[string][]byte
	log     []string // "PUT NAME 201"
	fails   map[string][]Fault
	ill     []string
	refused bool // DELETE is
}

// NewShelf is an empty one, until the test ends. It fails the test if it ever offered
// half of an image.
func NewShelf(t testing.TB) *Shelf {
	s := &Shelf{files: map[string][]byte{}, fails: map[string][]Fault{}}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		for _, name := range s.ill {
			t.Errorf("%s was offered and is not what its .skein says", name)
		}
	})
	s.URL = web.URL + "/pots"
	return s
}

// Fail answers the next requests "METHOD NAME" by faults, one each.
func (s *Shelf) Fail(request string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[request] = append(s.fails[request], faults...)
}

// RefuseDelete answers it with 405.
func (s *Shelf) RefuseDelete() { s.refused = true }

// File is one, nil if there is none.
func (s *Shelf) File(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[name]
}

// Put makes a file, as somebody else would.
func (s *Shelf) Put(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = data
}

// Changes are the requests so far that would change something, and their answers.
func (s *Shelf) Changes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.log), func(r string) bool { return strings.HasPrefix(r, "GET") || strings.HasPrefix(r, "HEAD") })
}

// ServeHTTP is http.Handler's.
func (s *Shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it was not sent whole, and is not kept
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	request := r.Method + " " + name
	if all := s.fails[request]; len(all) > 0 {
		s.fails[request] = all[1:]
		s.log = append(s.log, request+" fault")
		all[0](w, r, s.files[name])
		return
	}
	status := s.serve(r, name, body)
	s.log = append(s.log, request+" "+http.StatusText(status))
	s.watch()
	w.WriteHeader(status)
	if r.Method == http.MethodGet && status == http.StatusOK {
		w.Write(s.files[name])
	}
}

func (s *Shelf) serve(r *http.Request, name string, body []byte) int {
	if header, value, ok := strings.Cut(s.Ask, ": "); ok && r.Header.Get(header) != value {
		return http.StatusUnauthorized
	}
	_, there := s.files[name]
	switch {
	case r.Method == http.MethodPut && there && r.Header.Get("If-None-Match") == "*":
		return http.StatusPreconditionFailed
	case r.Method == http.MethodPut:
		s.files[name] = body
		return http.StatusCreated
	case r.Method == http.MethodDelete && s.refused:
		return http.StatusMethodNotAllowed
	case !there:
		return http.StatusNotFound
	case r.Method == http.MethodDelete:
		delete(s.files, name)
		return http.StatusNoContent
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return http.StatusOK
	}
	return http.StatusMethodNotAllowed
}

// watch looks for images that have a .skein and are not what it says.
func (s *Shelf) watch() {
	for name, text := range s.files {
		xz, ok := strings.CutSuffix(name, ".skein")
		if !ok || slices.Contains(s.ill, xz) {
			continue
		}
		h := skein.New()
		h.Write(s.files[xz])
		h.Write(s.files[xz+".meta"])
		if !bytes.Equal(text, append(hex.AppendEncode(nil, h.Sum(nil)), '\n')) {
			s.ill = append(s.ill, xz)
		}
	}
}

// Forgive forgets what was offered, of a test that did so itself.
func (s *Shelf) Forgive() { s.ill = nil }
