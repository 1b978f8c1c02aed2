package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/oci/ocitest"
)

// app returns a container image for this host with that content.
func app(content string) v1.Image {
	os, arch, _ := strings.Cut(platform, "/")
	return ocitest.New(os, arch, v1.Config{Entrypoint: []string{"/bin/app"}, Env: []string{"A=1"}, User: "www", WorkingDir: "/srv"},
		ocitest.Layer(ocitest.Archive(ocitest.File{Name: "bin/app", Content: content})))
}

// containers are a store, and a registry with team/app:1.0.
type containers struct {
	*Store
	registry *ocitest.Registry
	datasets *imagetest.Datasets
}

func newContainers(t *testing.T, o fetch.Options) *containers {
	t.Helper()
	d := imagetest.NewDatasets()
	c := &containers{registry: ocitest.NewRegistry(t), datasets: d, Store: NewStore(fetch.NewCache(t.TempDir(), o), d)}
	c.registry.Push("team/app:1.0", app("one"))
	return c
}

// pull returns the digest of the image that a reference in the registry stands for.
func (c *containers) pull(t *testing.T, ref string, opts image.PullOptions) (string, error) {
	t.Helper()
	parsed, err := image.ParseContainer("docker://" + c.registry.Host + ref)
	must.NoError(t, err)
	im, err := c.EnsureContainer(t.Context(), parsed, opts, nil)
	if err == nil {
		must.StrHasPrefix(t, "app_sha256-"+im.Manifest[7:23], im.Name)
	}
	return im.Manifest, err
}

func (c *containers) names(t *testing.T) []string {
	t.Helper()
	all, err := c.datasets.List(t.Context(), "")
	must.NoError(t, err)
	return all
}

func TestStore_EnsureContainer(t *testing.T) {
	leak.Check(t)
	c := newContainers(t, fetch.Options{})
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() {
			_, err := c.pull(t, "/team/app:1.0", image.PullOptions{})
			must.NoError(t, err)
		})
	}
	together.Wait()
	must.Len(t, 1, c.names(t))
	must.Eq(t, 1, c.registry.Gets("/blobs/")-c.registry.Gets(configOf(t, app("one")))) // the layer
	labels, err := c.datasets.Labels(t.Context(), c.names(t)[0])
	must.NoError(t, err)
	one := labels[LabelManifest]
	must.Eq(t, "docker://"+c.registry.Host+"/team/app@"+one, labels[LabelRef])
	must.Eq(t, "", labels[LabelLogin])

	asked := c.registry.Gets("/manifests/")
	for _, ref := range []string{"/team/app:1.0", "/team/app@" + one} {
		got, err := c.pull(t, ref, image.PullOptions{})
		must.NoError(t, err)
		must.Eq(t, one, got)
	}
	must.Eq(t, asked, c.registry.Gets("/manifests/"))
}

func TestStore_EnsureContainer_movedTag(t *testing.T) {
	leak.Check(t)
	c := newContainers(t, fetch.Options{})
	c.registry.Push("team/app:latest", app("one"))
	is := func(want, ref string, opts image.PullOptions) {
		t.Helper()
		got, err := c.pull(t, ref, opts)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	one, err := c.pull(t, "/team/app:1.0", image.PullOptions{})
	must.NoError(t, err)
	is(one, "/team/app", image.PullOptions{})
	two := c.registry.Push("team/app:1.0", app("two"))
	c.registry.Push("team/app:latest", app("two"))
	is(one, "/team/app:1.0", image.PullOptions{}) // it is here
	is(two, "/team/app", image.PullOptions{})     // latest is asked for
	is(one, "/team/app:1.0", image.PullOptions{})
	is(two, "/team/app:1.0", image.PullOptions{ForcePull: true})
	is(two, "/team/app:1.0", image.PullOptions{})
	is(one, "/team/app@"+one, image.PullOptions{})
	must.Len(t, 2, c.names(t))
}

// configOf returns the digest of an image's configuration.
func configOf(t *testing.T, i v1.Image) string {
	t.Helper()
	name, err := i.ConfigName()
	must.NoError(t, err)
	return name.String()
}

func TestStore_EnsureContainer_fails(t *testing.T) {
	leak.Check(t)
	c := newContainers(t, fetch.Options{StallTimeout: 200 * time.Millisecond})
	c.registry.Push("team/app:other", ocitest.New("plan9", "mips", v1.Config{}, ocitest.Layer(ocitest.Archive(ocitest.File{Name: "a"}))))
	none := "sha256:" + strings.Repeat("0", 64)
	ended := make(chan struct{})
	blob := func(do http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return true
			}
			do(w, r)
			return false
		}
	}
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "no", code)
			return false
		}
	}
	for name, tc := range map[string]struct {
		ref, want string
		retry     bool
		guard     func(http.ResponseWriter, *http.Request) bool
	}{
		"no such tag":      {ref: "/team/app:none", want: "the registry has no such image"},
		"no such digest":   {ref: "/team/app@" + none, want: "the registry has no such image"},
		"another platform": {ref: "/team/app:other", want: "there is no image for " + platform + ", only for plan9/mips"},
		"denied":           {want: "the registry denies access (HTTP status 403)", guard: status(http.StatusForbidden)},
		"too many":         {want: "HTTP status 429", retry: true, guard: status(http.StatusTooManyRequests)},
		"broken":           {want: "HTTP status 500", retry: true, guard: blob(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })},
		"dies half way": {want: "the connection to the registry failed", retry: true, guard: blob(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})},
		"sends nothing": {want: "no bytes for 200ms", retry: true, guard: blob(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-ended
		})},
		"sends another": {want: "sha256", guard: blob(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })},
		"sends another page": {ref: "/team/app@" + none, want: none, guard: func(_ http.ResponseWriter, r *http.Request) bool {
			r.URL.Path = strings.Replace(r.URL.Path, none, "1.0", 1)
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.registry.Guard(tc.guard)
			ref := tc.ref
			if ref == "" {
				ref = "/team/app:1.0"
			}
			if name == "sends nothing" {
				defer close(ended)
			}
			_, err := c.pull(t, ref, image.PullOptions{})
			must.ErrorContains(t, err, tc.want)
			must.ErrorContains(t, err, "pull docker://")
			must.Eq(t, tc.retry, image.Retryable(err), must.Sprint(err))
			must.SliceEmpty(t, c.names(t))
		})
	}
	c.registry.Guard(nil)
	_, err := c.pull(t, "/team/app:1.0", image.PullOptions{})
	must.NoError(t, err)
	left, err := os.ReadDir(c.cache.Dir)
	must.NoError(t, err)
	for _, e := range left {
		must.False(t, strings.HasPrefix(e.Name(), ".import-"), must.Sprint(e.Name()))
	}
}

func TestStore_EnsureContainer_limits(t *testing.T) {
	leak.Check(t)
	for _, tc := range []struct {
		limits fetch.Options
		want   string
	}{
		{fetch.Options{MaxBytes: 10}, "the layers have more than 10 bytes"},
		{fetch.Options{MaxTreeBytes: 1024}, "larger than allowed"},
	} {
		c := newContainers(t, tc.limits)
		_, err := c.pull(t, "/team/app:1.0", image.PullOptions{})
		must.ErrorContains(t, err, tc.want)
		must.False(t, image.Retryable(err))
		must.SliceEmpty(t, c.names(t))
	}
}

func TestStore_EnsureContainer_credentials(t *testing.T) {
	leak.Check(t)
	c := newContainers(t, fetch.Options{})
	file := func(user string) string {
		path := filepath.Join(t.TempDir(), "config.json")
		text := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, c.registry.Host, base64.StdEncoding.EncodeToString([]byte(user+":geheim")))
		must.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	t.Setenv("DOCKER_CONFIG", filepath.Dir(file("ann"))) // is not read
	c.registry.Guard(ocitest.Basic("ann", "geheim"))
	ann := image.PullOptions{Credentials: image.Credentials{Username: "ann", Password: "geheim"}}
	denied := func(opts image.PullOptions) {
		t.Helper()
		_, err := c.pull(t, "/team/app:1.0", opts)
		must.ErrorContains(t, err, "the registry denies access (HTTP status 401)")
		must.False(t, image.Retryable(err))
		must.StrNotContains(t, err.Error(), "geheim")
	}
	denied(image.PullOptions{})
	denied(image.PullOptions{DockerConfig: file("eve")})
	one, err := c.pull(t, "/team/app:1.0", ann)
	must.NoError(t, err)
	denied(image.PullOptions{}) // though it is here
	denied(image.PullOptions{Credentials: image.Credentials{Username: "eve", Password: "guess"}})
	layers := c.registry.Gets("/blobs/") - c.registry.Gets(configOf(t, app("one")))
	got, err := c.pull(t, "/team/app:1.0", image.PullOptions{DockerConfig: file("ann")})
	must.NoError(t, err)
	must.Eq(t, one, got)
	_, err = c.pull(t, "/team/app@"+one, ann)
	must.NoError(t, err)
	must.Eq(t, layers, c.registry.Gets("/blobs/")-c.registry.Gets(configOf(t, app("one"))))

	// Another repository that serves the manifest must serve the layers too.
	c.registry.Guard(nil)
	c.registry.Push("other/app:1.0", app("one"))
	got, err = c.pull(t, "/other/app:1.0", image.PullOptions{})
	must.NoError(t, err)
	must.Eq(t, one, got)
	must.Eq(t, layers+1, c.registry.Gets("/blobs/")-c.registry.Gets(configOf(t, app("one"))))
	must.Len(t, 1, c.names(t))
}

// A pull that no caller waits for ends and leaves nothing.
func TestStore_EnsureContainer_cancelled(t *testing.T) {
	leak.Check(t)
	c := newContainers(t, fetch.Options{})
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.registry.Guard(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			once.Do(func() { close(reached) })
			<-release
		}
		return true
	})
	parsed, err := image.ParseContainer("docker://" + c.registry.Host + "/team/app:1.0")
	must.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, err := c.EnsureContainer(ctx, parsed, image.PullOptions{}, nil)
		failed <- err
	}()
	<-reached
	stopped := errors.New("the task was stopped")
	cancel(stopped)
	must.ErrorIs(t, <-failed, stopped)
	close(release)
	must.SliceEmpty(t, c.names(t))
}
