// Package imagetest provides what the tests of images need: a real image of this
// system, an HTTP server for images (server.go) and one that images are published to
// (target.go), both of which can be made to fail, xz files (xz.go), and a host's
// datasets in memory (datasets.go). It does not start pots: for that see package
// hosttest.
package imagetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"nomad-driver-pot/image/skein"
)

// Name and tag of the real image, which every Server has: a runnable pot for this
// system, exported by pot on FreeBSD 14.2.
const (
	HelloName = helloName
	HelloTag  = "1.0"
)

// Hello returns a file of the real image by its suffix: "", ".meta" or ".skein".
func Hello(ending string) []byte {
	b, err := files.ReadFile("testdata/" + HelloName + "_" + HelloTag + ".xz" + ending)
	if err != nil {
		panic(err)
	}
	return b
}

// NoMeta is the .meta file of an image without an origin.
const NoMeta = "-\n"

// Server serves images, and fails on demand.
type Server struct {
	URL string // the directory of the files, for image.Ref.Source

	mu     sync.Mutex
	files  map[string][]byte
	fails  map[string]Fault
	gets   map[string]int
	ranges map[string][]string // Range headers
	guard  func(*http.Request) bool
}

// A Fault answers a request instead of the file, whose content it receives.
type Fault func(w http.ResponseWriter, r *http.Request, file []byte)

// NewServer starts a server with the real image. It runs until the test ends.
func NewServer(t testing.TB) *Server {
	s := &Server{files: map[string][]byte{}, fails: map[string]Fault{}, gets: map[string]int{}, ranges: map[string][]string{}}
	for _, ending := range []string{"", ".meta", ".skein"} {
		s.Put(HelloName+"_"+HelloTag+".xz"+ending, Hello(ending))
	}
	web := httptest.NewServer(s)
	// Close would wait for clients of a stalled answer.
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	s.URL = web.URL + "/pots"
	return s
}

// ServeHTTP serves a file by its base name, whatever the directory.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	s.mu.Lock()
	s.gets[name]++
	file, ok := s.files[name]
	fail := s.fails[name]
	guard := s.guard
	if r.Header.Get("Range") != "" {
		s.ranges[name] = append(s.ranges[name], r.Header.Get("Range"))
	}
	s.mu.Unlock()
	switch {
	case guard != nil && !guard(r):
		Status(http.StatusUnauthorized)(w, r, nil)
	case fail != nil:
		fail(w, r, file)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Header().Set("ETag", Tag(file))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	}
}

// Tag returns the entity tag of a file.
func Tag(file []byte) string { return fmt.Sprintf("\"%x\"", sha256.Sum256(file)) }

// Guard answers 401 to requests that ok refuses. A nil ok admits all.
func (s *Server) Guard(ok func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guard = ok
}

// Ranges returns the Range headers of the requests for file.
func (s *Server) Ranges(file string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ranges[file])
}

// Add serves an image: an .xz with those bytes, a .meta, and their digest.
func (s *Server) Add(name, tag string, xz []byte, meta string) {
	file := name + "_" + tag + ".xz"
	s.Put(file, xz)
	s.Put(file+".meta", []byte(meta))
	s.Put(file+".skein", Skein(xz, []byte(meta)))
}

// Skein returns the .skein file of an image.
func Skein(xz, meta []byte) []byte {
	h := skein.New()
	h.Write(xz)
	h.Write(meta)
	return append(hex.AppendEncode(nil, h.Sum(nil)), '\n')
}

// Put serves b as file.
func (s *Server) Put(file string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[file] = b
}

// Remove makes file 404.
func (s *Server) Remove(file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, file)
}

// Fail answers requests for file by f, or by the file again if f is nil.
func (s *Server) Fail(file string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[file] = f
}

// Gets returns how often file was requested.
func (s *Server) Gets(file string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets[file]
}

// Status answers with that status and a web page.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		w.Write([]byte("<html><body>Sorry.</body></html>\n"))
	}
}

// WebPage answers 200 with a web page instead of the file.
func WebPage() Fault { return Status(http.StatusOK) }

// Redirect redirects to another URL.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) {
		http.Redirect(w, r, to, http.StatusFound)
	}
}

// HangUp sends half of the file and closes the connection.
func HangUp() Fault {
	return func(w http.ResponseWriter, r *http.Request, file []byte) {
		sendHalf(w, file)
		panic(http.ErrAbortHandler)
	}
}

// HangUpAfter sends n bytes of the file, calls then, and closes the connection.
func HangUpAfter(n int, then func()) Fault {
	return func(w http.ResponseWriter, _ *http.Request, file []byte) {
		w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		w.Header().Set("ETag", Tag(file))
		w.Write(file[:n])
		w.(http.Flusher).Flush()
		then()
		panic(http.ErrAbortHandler)
	}
}

// Stall sends half of the file, and nothing more until the client hangs up.
func Stall() Fault {
	return func(w http.ResponseWriter, r *http.Request, file []byte) {
		sendHalf(w, file)
		<-r.Context().Done()
	}
}

// Trickle sends the file in ten parts with pauses between them.
func Trickle(between time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, file []byte) {
		part := len(file)/10 + 1
		for len(file) > 0 && r.Context().Err() == nil {
			n := min(part, len(file))
			w.Write(file[:n])
			w.(http.Flusher).Flush()
			file = file[n:]
			time.Sleep(between)
		}
	}
}

// sendHalf sends the first half of the file, with the length of the whole.
func sendHalf(w http.ResponseWriter, file []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(file)))
	w.Header().Set("ETag", Tag(file))
	w.Write(file[:len(file)/2])
	w.(http.Flusher).Flush()
}
