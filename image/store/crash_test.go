//go:build linux || freebsd

package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/pot"
)

// What a process that is to be killed is told: in which phase to stop, and where.
const (
	crashPhase  = "IMAGE_TEST_CRASH_PHASE"
	crashDir    = "IMAGE_TEST_CRASH_DIR"
	crashPlace  = "IMAGE_TEST_CRASH_PLACE"
	crashSource = "IMAGE_TEST_CRASH_SOURCE"
	crashPin    = "IMAGE_TEST_CRASH_PIN"
	crashed     = "reached "
)

// stopping are datasets whose caller gets no further than one of the phases.
type stopping struct {
	pot.Images
	phase string
}

// stop says that the phase was reached, and does not return from it.
func (s stopping) stop(phase string) {
	if s.phase == phase {
		fmt.Println(crashed + phase)
		time.Sleep(time.Hour)
	}
}

func (s stopping) Receive(ctx context.Context, name string, r io.Reader) error {
	s.stop("before receive")
	err := s.Images.Receive(ctx, name, readThen{r, 40_000, func() { s.stop("receive") }, new(int)})
	s.stop("received")
	return err
}

func (s stopping) SetLabels(ctx context.Context, name string, labels map[string]string) error {
	s.stop("label")
	return s.Images.SetLabels(ctx, name, labels)
}

func (s stopping) Rename(ctx context.Context, from, to string) error {
	s.stop("rename")
	err := s.Images.Rename(ctx, from, to)
	s.stop("renamed")
	return err
}

// readThen calls then when that many bytes have been read.
type readThen struct {
	r    io.Reader
	at   int
	then func()
	n    *int
}

func (r readThen) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if *r.n += n; *r.n > r.at {
		r.then()
	}
	return n, err
}

// TestCrash_child is the process that is killed; by itself it does nothing.
func TestCrash_child(t *testing.T) {
	leak.Check(t)
	phase := os.Getenv(crashPhase)
	if phase == "" {
		t.Skip("it is started by others")
	}
	host := hostPlace(os.Getenv(crashPlace)).open(t)
	var wantDigest image.Digest
	if text := os.Getenv(crashPin); text != "" {
		var err error
		wantDigest, err = image.ParseDigest(text)
		must.NoError(t, err)
	}
	cache := fetch.NewCache(filepath.Join(os.Getenv(crashDir), "cache"), fetch.Options{})
	store := store.NewStore(cache, stopping{host.Images, phase})
	_, err := store.Ensure(t.Context(), image.Ref{Source: os.Getenv(crashSource), Name: "good", Tag: "1.0"}, image.PullOptions{Digest: wantDigest}, func(s string) {
		if phase == "verify" && strings.HasPrefix(s, "verifying ") {
			stopping{phase: phase}.stop(phase)
		}
	})
	t.Fatalf("it was not stopped: %v", err)
}

// crashRig is where processes are killed.
type crashRig struct {
	dir    string
	server *imagetest.Server
	ref    image.Ref
	pin    image.Digest // for the verify phase, in which the cache has the image
	place  hostPlace
	host   pot.Host
}

func newCrashRig(t *testing.T) *crashRig {
	r := &crashRig{dir: t.TempDir(), place: newHostPlace(t)}
	leak.Check(t)
	r.server = imagetest.NewServer(t)
	xz := imagetest.XZ(hostileGood())
	r.server.Add("good", "1.0", xz, imagetest.NoMeta)
	r.ref = image.Ref{Source: r.server.URL, Name: "good", Tag: "1.0"}
	r.pin = imagetest.Digest(t, xz, []byte(imagetest.NoMeta))
	r.host = r.place.open(t)
	return r
}

// start is a process that has come as far as that phase.
func (r *crashRig) start(t *testing.T, phase string) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash_child$", "-test.v")
	cmd.Env = append(os.Environ(), crashPhase+"="+phase, crashDir+"="+r.dir, crashPlace+"="+string(r.place), crashSource+"="+r.ref.Source, "TMPDIR="+t.TempDir())
	if phase == "verify" {
		cmd.Env = append(cmd.Env, crashPin+"="+r.pin.String())
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must.NoError(t, err)
	reached := make(chan struct{})
	if phase == "download" {
		r.server.Fail(r.ref.File(), func(w http.ResponseWriter, q *http.Request, file []byte) {
			w.Write(file[:len(file)/2])
			w.(http.Flusher).Flush()
			close(reached)
			<-q.Context().Done()
		})
	}
	must.NoError(t, cmd.Start())
	if phase == "download" {
		<-reached
	} else {
		var said []string
		for lines := bufio.NewScanner(out); ; {
			must.True(t, lines.Scan(), must.Sprint(said))
			said = append(said, lines.Text())
			if strings.HasSuffix(lines.Text(), crashed+phase) {
				break
			}
		}
	}
	return func() {
		must.NoError(t, cmd.Process.Kill())
		must.Error(t, cmd.Wait())
		r.server.Fail(r.ref.File(), nil)
	}
}

// ensure imports the image and looks for what is left of other imports.
func (r *crashRig) ensure(t *testing.T) {
	t.Helper()
	images := store.NewStore(fetch.NewCache(filepath.Join(r.dir, "cache"), fetch.Options{}), r.host.Images)
	got, err := images.Ensure(t.Context(), r.ref, image.PullOptions{Digest: r.pin}, nil)
	must.NoError(t, err)
	must.Eq(t, store.Imported{Name: "good_1_0", Digest: r.pin}, got)
}

// onlyGood checks that there are the image, its files in the cache, and no more.
func (r *crashRig) onlyGood(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, "cache"))
	must.NoError(t, err)
	var cached []string
	for _, e := range entries {
		cached = append(cached, e.Name())
	}
	must.Eq(t, []string{"good_1.0.xz", "good_1.0.xz.meta", "good_1.0.xz.skein"}, cached)
	must.Eq(t, namesOf("good_1_0"), r.place.names(t))
}

var crashPhases = []string{"download", "verify", "before receive", "receive", "received", "label", "rename", "renamed"}

// fill has the cache know the image, where the phase is that of verifying it.
func (r *crashRig) fill(t *testing.T, phase string) {
	if phase == "verify" {
		f, err := fetch.NewCache(filepath.Join(r.dir, "cache"), fetch.Options{}).Fetch(t.Context(), r.ref, anyImage, nil)
		must.NoError(t, err)
		must.NoError(t, f.Close())
	}
}

// A process that is killed in whatever phase of an import leaves nothing that the
// next import does not take away, and nothing that it fails by.
func TestStore_Ensure_killed(t *testing.T) {
	leak.Check(t)
	for _, phase := range crashPhases {
		t.Run("in phase "+phase, func(t *testing.T) {
			r := newCrashRig(t)
			r.fill(t, phase)
			r.start(t, phase)()
			r.ensure(t)
			r.afterwards(t)
			r.onlyGood(t)
		})
		t.Run("in phase "+phase+" and the cache emptied", func(t *testing.T) {
			r := newCrashRig(t)
			r.fill(t, phase)
			r.start(t, phase)()
			must.NoError(t, os.RemoveAll(filepath.Join(r.dir, "cache")))
			r.ensure(t)
			r.afterwards(t)
			r.onlyGood(t)
		})
	}
}

// afterwards imports another image, and takes that away with its files. What is left
// of one that was killed when it had done all but to say so is found then: an image
// that is there needs no import, and nothing is looked for. The good image is fetched
// again where the cache was emptied, so that it looks as ever.
func (r *crashRig) afterwards(t *testing.T) {
	t.Helper()
	r.server.Add("other", "1.0", smallImage, imagetest.NoMeta)
	cache := filepath.Join(r.dir, "cache")
	for _, ref := range []image.Ref{{Source: r.server.URL, Name: "other", Tag: "1.0"}, r.ref} {
		f, err := fetch.NewCache(cache, fetch.Options{}).Fetch(t.Context(), ref, anyImage, nil)
		must.NoError(t, err)
		must.NoError(t, f.Close())
	}
	other := image.Ref{Source: r.server.URL, Name: "other", Tag: "1.0"}
	_, err := store.NewStore(fetch.NewCache(cache, fetch.Options{}), r.host.Images).Ensure(t.Context(), other, anyImage, nil)
	must.NoError(t, err)
	must.NoError(t, r.host.Images.Destroy(t.Context(), "other_1_0"))
	files, err := filepath.Glob(filepath.Join(cache, "other_1.0.xz*"))
	must.NoError(t, err)
	for _, f := range files {
		must.NoError(t, os.Remove(f))
	}
}

// What another process is making is let be, with the cache and without.
func TestStore_Ensure_alive(t *testing.T) {
	leak.Check(t)
	for name, wipe := range map[string]bool{"as it is": false, "emptied": true} {
		t.Run("the cache "+name, func(t *testing.T) {
			r := newCrashRig(t)
			kill := r.start(t, "rename")
			if wipe {
				must.NoError(t, os.RemoveAll(filepath.Join(r.dir, "cache")))
			}
			r.ensure(t)
			made, err := r.host.Images.List(t.Context(), "_import-")
			must.NoError(t, err)
			must.Len(t, 1, made)
			kill()
			r.afterwards(t)
			r.onlyGood(t)
		})
	}
}
