// Package imagetest is an HTTP image server, small images, and datasets in
// memory, for the tests of every package that has to do with images.
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

// Name and tag of the real image, which every server has: a runnable pot for this
// system, exported by pot on FreeBSD 14.2.
const (
	HelloName = helloName
	HelloTag  = "1.0"
)

// Hello is one of the real image's files, by its ending: "", ".meta", ".skein".
func Hello(ending string) []byte {
	b, err := files.ReadFile("testdata/" + HelloName + "_" + HelloTag + ".xz" + ending)
	if err != nil {
		panic(err)
	}
	return b
}

// NoMeta is the .meta file of an image that stands alone.
const NoMeta = "-\n"

// Server serves images, and fails as it is told to.
type Server struct {
	URL string // of the directory with the files: image.Ref.Source

	mu    sync.Mutex
	files map[string][]byte
	fails map[string]Fault
	gets  map[string]int
	asked map[string][]string // Range headers
	guard func(*http.Request) bool
}

// A Fault answers in place of the file, whose bytes it is given.
type Fault func(w http.ResponseWriter, r *http.Request, file []byte)

// NewServer is a server with the real image, until the test ends.
func NewServer(t testing.TB) *Server {
	s := &Server{files: map[string][]byte{}, fails: map[string]Fault{}, gets: map[string]int{}, asked: map[string][]string{}}
	for _, ending := range []string{"", ".meta", ".skein"} {
		s.Put(HelloName+"_"+HelloTag+".xz"+ending, Hello(ending))
	}
	web := httptest.NewServer(s)
	// Those who wait for a stalled answer would keep Close waiting.
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	s.URL = web.URL + "/pots"
	return s
}

// ServeHTTP answers with a file, whatever the directory.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	s.mu.Lock()
	s.gets[name]++
	file, ok := s.files[name]
	fail := s.fails[name]
	guard := s.guard
	if r.Header.Get("Range") != "" {
		s.asked[name] = append(s.asked[name], r.Header.Get("Range"))
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

// Tag is the entity tag of a file.
func Tag(file []byte) string { return fmt.Sprintf("\"%x\"", sha256.Sum256(file)) }

// Guard has only those requests be answered that ok likes; nil is all.
func (s *Server) Guard(ok func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guard = ok
}

// Ranges are those that were asked for of file.
func (s *Server) Ranges(file string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked[file])
}

// Add serves an image: an .xz with those bytes, a .meta, and their digest.
func (s *Server) Add(name, tag string, xz []byte, meta string) {
	file := name + "_" + tag + ".xz"
	s.Put(file, xz)
	s.Put(file+".meta", []byte(meta))
	s.Put(file+".skein", Skein(xz, []byte(meta)))
}

// Skein is a .skein file.
func Skein(xz, meta []byte) []byte {
	h := skein.New()
	h.Write(xz)
	h.Write(meta)
	return append(hex.AppendEncode(nil, h.Sum(nil)), '\n')
}

// Put serves b as file, and nothing else as that.
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

// Fail makes requests for file end in f; nil ends that.
func (s *Server) Fail(file string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[file] = f
}

// Gets is how often file was asked for.
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

// WebPage answers with a web page in place of the file, and calls it OK.
func WebPage() Fault { return Status(http.StatusOK) }

// Redirect answers that the file is elsewhere.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) {
		http.Redirect(w, r, to, http.StatusFound)
	}
}

// HangUp sends half of the file, and closes the connection.
func HangUp() Fault {
	return func(w http.ResponseWriter, r *http.Request, file []byte) {
		half(w, file)
		panic(http.ErrAbortHandler)
	}
}

// HangUpAfter sends that much of the file, calls then, and closes the connection.
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
		half(w, file)
		<-r.Context().Done()
	}
}

// Trickle sends the file in ten parts, and waits between them.
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

// half sends the first half of the file, with the length of all of it.
func half(w http.ResponseWriter, file []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(file)))
	w.Header().Set("ETag", Tag(file))
	w.Write(file[:len(file)/2])
	w.(http.Flusher).Flush()
}
