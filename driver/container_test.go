package driver

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/oci/ocitest"
)

// theContainer begins the names of the datasets of container images in tests.
const theContainer = "app_sha256"

// container returns a container image for this host with hello in it, and that /etc/motd.
func container(t *testing.T, motd string, c v1.Config) v1.Image {
	t.Helper()
	dir := helloTree(t, motd)
	must.NoError(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "etc", "passwd"), []byte("root:*:0:0::/root:/bin/sh\nwww:*:80:80::/nonexistent:/bin/sh\n"), 0o644))
	return ocitest.New(runtime.GOOS, runtime.GOARCH, c, ocitest.Layer(ocitest.Tree(dir)))
}

// sleeping is the configuration of a container that runs until it is stopped.
var sleeping = v1.Config{Entrypoint: []string{"/bin/hello"}, Cmd: []string{"sleep", "1h"}}

// newContainerBed returns a driver, and a registry with team/app:1.0, which is latest too.
func newContainerBed(t *testing.T, config string) (*bed, *ocitest.Registry) {
	t.Helper()
	registry := ocitest.NewRegistry(t)
	b := newBed(t, config)
	b.destroyAtEnd(theContainer)
	one := container(t, "one", sleeping)
	registry.Push("team/app:1.0", one)
	registry.Push("team/app:latest", one)
	return b, registry
}

// containerTask returns a task of an image of the registry.
func (b *bed) containerTask(t *testing.T, image, config string, args ...string) *drivers.TaskConfig {
	t.Helper()
	return b.taskWith(t, fmt.Sprintf("image = %q\nnetwork_mode = \"none\"\n%s", "docker://"+image, config), args...)
}

// digestOf returns the digest of a task's image.
func (b *bed) digestOf(t *testing.T, cfg *drivers.TaskConfig) string {
	t.Helper()
	return b.driver.tasks.find(TaskID(cfg.ID)).state.Digest
}

// Twenty tasks share one pull; a registry that dies half way fails all of them, and may be asked
// again.
func TestDriver_container_together(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b, registry := newContainerBed(t, "")
	b.unlogged = true
	tasks := func() (all []*drivers.TaskConfig) {
		for range 20 {
			all = append(all, b.containerTask(t, registry.Host+"/team/app:1.0", ""))
		}
		return all
	}
	registry.Guard(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Content-Length", "1000000")
			w.WriteHeader(http.StatusOK)
			panic(http.ErrAbortHandler)
		}
		return true
	})
	for _, err := range startAll(b, tasks()) {
		must.Error(t, err)
		must.True(t, structs.IsRecoverable(err), must.Sprint(err))
		must.StrContains(t, err.Error(), "pull docker://"+registry.Host+"/team/app:1.0: ")
	}
	nothingLeft(t, b.dir)
	registry.Guard(nil)
	manifests, blobs := registry.Gets("/manifests/"), registry.Gets("/blobs/")
	for _, err := range startAll(b, tasks()) {
		must.NoError(t, err)
	}
	must.Eq(t, blobs+3, registry.Gets("/blobs/")) // the configuration, to choose and to use it, and one layer
	asked := registry.Gets("/manifests/") - manifests
	b.start(t, b.containerTask(t, registry.Host+"/team/app:1.0", ""))
	must.Eq(t, asked, registry.Gets("/manifests/")-manifests)
	images, err := b.driver.current().pots.Host().Images.List(t.Context(), theContainer)
	must.NoError(t, err)
	must.Len(t, 1, images)
}

// The image says what runs, as whom, where and with what; a job overrides each.
func TestDriver_container_config(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b, registry := newContainerBed(t, "")
	registry.Push("team/app:2.0", container(t, "two", v1.Config{
		Entrypoint: []string{"/bin/hello"}, Cmd: []string{"sleep", "1h"}, User: "www", WorkingDir: "/srv/app", Env: []string{"GREETING=from the image", "LEVEL=info"},
		StopSignal: "SIGQUIT", Volumes: map[string]struct{}{"/data": {}},
	}))
	cfg := b.containerTask(t, registry.Host+"/team/app:2.0", "")
	cfg.Env["LEVEL"] = "debug"
	handle, _ := b.start(t, cfg)
	s, err := readState(handle)
	must.NoError(t, err)
	must.Eq(t, "docker://"+registry.Host+"/team/app:2.0", s.Image)
	must.StrHasPrefix(t, "sha256:", s.Digest)
	made, err := b.driver.current().pots.Find(TaskID(cfg.ID).PotName())
	must.NoError(t, err)
	must.Eq(t, "www", made.Spec().User)
	must.Eq(t, "/srv/app", made.Spec().WorkDir)
	env := b.exec(t, cfg.ID, "env")
	must.StrContains(t, env, "GREETING=from the image\n")
	must.StrContains(t, env, "LEVEL=debug\n")
	must.Eq(t, "two", strings.TrimSpace(b.exec(t, cfg.ID, "cat", "/etc/motd")))
}

// A tag that moves is another image beside the first, and a task keeps what it runs.
func TestDriver_container_movedTag(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b, registry := newContainerBed(t, "")
	start := func(image, config string) *drivers.TaskConfig {
		cfg := b.containerTask(t, registry.Host+"/team/app"+image, config)
		b.start(t, cfg)
		return cfg
	}
	first, newest := start(":1.0", ""), start("", "")
	one := b.digestOf(t, first)
	must.Eq(t, one, b.digestOf(t, newest))
	blobs := registry.Gets("/blobs/")
	changed := container(t, "two", sleeping)
	two := registry.Push("team/app:1.0", changed)
	registry.Push("team/app:latest", changed)

	must.Eq(t, one, b.digestOf(t, start(":1.0", ""))) // it is here
	must.Eq(t, blobs, registry.Gets("/blobs/"))
	must.Eq(t, two, b.digestOf(t, start("", ""))) // latest is asked for
	must.Eq(t, one, b.digestOf(t, start(":1.0", "")))
	must.Eq(t, two, b.digestOf(t, start(":1.0", "force_pull = true")))
	must.Eq(t, two, b.digestOf(t, start(":1.0", "")))
	must.Eq(t, one, b.digestOf(t, start("", fmt.Sprintf("digest = %q", one))))
	must.Eq(t, one, b.digestOf(t, start("@"+one, "")))
	must.Eq(t, "one", strings.TrimSpace(b.exec(t, first.ID, "cat", "/etc/motd")))
	b.open(t)
	registry.Guard(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "no", http.StatusNotFound)
		return false
	})
	must.Eq(t, two, b.digestOf(t, start(":1.0", ""))) // known without the registry
}

// What a registry does not have, or not for this caller or this host, is refused for good.
func TestDriver_container_refused(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b, registry := newContainerBed(t, "")
	registry.Push("team/app:other", ocitest.New("plan9", "mips", sleeping, ocitest.Layer(ocitest.Archive(ocitest.File{Name: "a"}))))
	none := "sha256:" + strings.Repeat("0", 64)
	for image, want := range map[string]string{
		"/team/app:none":    "the registry has no such image",
		"/team/app:other":   "there is no image for " + runtime.GOOS + "/" + runtime.GOARCH + ", only for plan9/mips",
		"/team/app@" + none: "the registry has no such image",
	} {
		_, _, err := b.StartTask(b.containerTask(t, registry.Host+image, ""))
		must.ErrorContains(t, err, want)
		must.False(t, structs.IsRecoverable(err), must.Sprint(err))
	}
	for status, retry := range map[int]bool{http.StatusServiceUnavailable: true, http.StatusTooManyRequests: true, http.StatusForbidden: false} {
		registry.Guard(func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "no", status)
			return false
		})
		_, _, err := b.StartTask(b.containerTask(t, registry.Host+"/team/app:1.0", ""))
		must.ErrorContains(t, err, fmt.Sprint(status))
		must.Eq(t, retry, structs.IsRecoverable(err), must.Sprint(err))
	}
	registry.Guard(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			r.URL.Path = strings.Replace(r.URL.Path, none, "1.0", 1)
		}
		return true
	})
	_, _, err := b.StartTask(b.containerTask(t, registry.Host+"/team/app@"+none, ""))
	must.ErrorContains(t, err, none)
	must.False(t, structs.IsRecoverable(err), must.Sprint(err))
}

// A pull that nobody waits for any more ends, and leaves nothing.
func TestDriver_container_cancelled(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b, registry := newContainerBed(t, "")
	reached, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	var once atomic.Bool
	registry.Guard(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") && once.CompareAndSwap(false, true) {
			close(reached)
			<-release
		}
		return true
	})
	cfg := b.containerTask(t, registry.Host+"/team/app:1.0", "")
	failed := make(chan error)
	go func() {
		_, _, err := b.StartTask(cfg)
		failed <- err
	}()
	<-reached
	must.NoError(t, b.driver.DestroyTask(cfg.ID, true))
	must.Error(t, <-failed)
	nothingLeft(t, b.dir)
}

// Credentials are the job's or the operator's, for their registry alone, and an image that was
// pulled with them is not for others.
func TestDriver_container_credentials(t *testing.T) {
	leak.Check(t, leak.Foreign)
	registry := ocitest.NewRegistry(t)
	file := filepath.Join(t.TempDir(), "config.json")
	write := func(user string) {
		text := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, registry.Host, base64.StdEncoding.EncodeToString([]byte(user+":geheim")))
		must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write("nobody")
	b := newBed(t, fmt.Sprintf("auth { docker_config = %q }", file))
	b.destroyAtEnd(theContainer)
	registry.Push("team/app:1.0", container(t, "one", sleeping))
	registry.Guard(ocitest.Basic("ann", "geheim"))
	start := func(config string) error {
		_, _, err := b.StartTask(b.containerTask(t, registry.Host+"/team/app:1.0", config))
		return err
	}
	refused := func(err error) {
		t.Helper()
		must.ErrorContains(t, err, "the registry denies access (HTTP status 401)")
		must.False(t, structs.IsRecoverable(err))
	}
	refused(start(""))
	must.NoError(t, start(`auth {
		username = "ann"
		password = "geheim"
	}`))
	refused(start("")) // though it is here
	refused(start(`auth {
		username = "eve"
		password = "guess"
	}`))
	write("ann")
	blobs := registry.Gets("/blobs/")
	must.NoError(t, start(""))
	must.Eq(t, blobs+2, registry.Gets("/blobs/")) // the configuration, to choose and to use it
	must.StrNotContains(t, b.logged.String(), "geheim")
	must.StrNotContains(t, b.logged.String(), base64.StdEncoding.EncodeToString([]byte("ann:geheim")))
}

// An image that no pot is cloned from is destroyed as others are.
func TestDriver_container_unused(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b, registry := newContainerBed(t, "gc {\n image_delay = \"1ms\"\n}")
	cfg := b.containerTask(t, registry.Host+"/team/app:1.0", "")
	b.start(t, cfg)
	r := newReconciler(b.driver)
	images := func() int {
		r.destroyUnusedImages(t.Context(), b.driver.current(), time.Now())
		all, err := b.driver.current().pots.Host().Images.List(t.Context(), theContainer)
		must.NoError(t, err)
		return len(all)
	}
	must.Eq(t, 1, images())
	must.NoError(t, b.driver.DestroyTask(cfg.ID, true))
	images()
	r.destroyUnusedImages(t.Context(), b.driver.current(), time.Now().Add(time.Minute))
	must.Eq(t, 0, images())
}
