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

// Target is a server that images are published to by PUT and DELETE. It fails the test
// if it ever offers an image that does not match its .skein file.
type Target struct {
	URL string

	// RequireHeader is the header that a request must have. "" means none.
	RequireHeader string // "NAME: VALUE"

	mu      sync.Mutex
	files   map[string][]byte
	log     []string // "PUT NAME 201"
	fails   map[string][]Fault
	corrupt []string
	refused bool // answer DELETE with 405
}

// NewTarget starts an empty target. It runs until the test ends.
func NewTarget(t testing.TB) *Target {
	s := &Target{files: map[string][]byte{}, fails: map[string][]Fault{}}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		for _, name := range s.corrupt {
			t.Errorf("%s was offered and does not match its .skein", name)
		}
	})
	s.URL = web.URL + "/pots"
	return s
}

// Fail answers the next requests "METHOD NAME" by faults, one each.
func (s *Target) Fail(request string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[request] = append(s.fails[request], faults...)
}

// RefuseDelete answers DELETE with 405.
func (s *Target) RefuseDelete() { s.refused = true }

// File returns a file, or nil if there is none.
func (s *Target) File(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[name]
}

// Put makes a file, as another publisher would.
func (s *Target) Put(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = data
}

// Changes returns the requests so far that change something, with their answers.
func (s *Target) Changes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.log), func(r string) bool { return strings.HasPrefix(r, "GET") || strings.HasPrefix(r, "HEAD") })
}

// ServeHTTP implements http.Handler.
func (s *Target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // an incomplete body is not kept
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
	s.findCorrupt()
	w.WriteHeader(status)
	if r.Method == http.MethodGet && status == http.StatusOK {
		w.Write(s.files[name])
	}
}

func (s *Target) serve(r *http.Request, name string, body []byte) int {
	if header, value, ok := strings.Cut(s.RequireHeader, ": "); ok && r.Header.Get(header) != value {
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

// findCorrupt notes images that do not match their .skein files.
func (s *Target) findCorrupt() {
	for name, text := range s.files {
		xz, ok := strings.CutSuffix(name, ".skein")
		if !ok || slices.Contains(s.corrupt, xz) {
			continue
		}
		h := skein.New()
		h.Write(s.files[xz])
		h.Write(s.files[xz+".meta"])
		if !bytes.Equal(text, append(hex.AppendEncode(nil, h.Sum(nil)), '\n')) {
			s.corrupt = append(s.corrupt, xz)
		}
	}
}

// ForgetCorrupt drops what findCorrupt noted, for a test that put a corrupt image
// itself.
func (s *Target) ForgetCorrupt() { s.corrupt = nil }
