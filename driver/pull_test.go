package driver

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/signify"
)

// keyFile returns a file with a new public key, and its secret key.
func keyFile(t *testing.T) (path string, secret signify.SecretKey) {
	t.Helper()
	secret, err := signify.NewKey()
	must.NoError(t, err)
	text, err := secret.Public().Marshal("test")
	must.NoError(t, err)
	path = filepath.Join(t.TempDir(), "key.pub")
	must.NoError(t, os.WriteFile(path, text, 0o644))
	return path, secret
}

// A job can tighten the operator's policy for images, and not relax it.
func TestTaskConfig_terms(t *testing.T) {
	leak.Check(t, leak.Foreign)
	ours, _ := keyFile(t)
	theirs, _ := keyFile(t)
	logins := filepath.Join(t.TempDir(), "auth.json")
	must.NoError(t, os.WriteFile(logins, []byte(`{"https://images.example.org/pots": {"token": "of-the-node"}}`), 0o600))
	must.NoError(t, os.WriteFile(logins+".public", []byte(`{}`), 0o644))
	for name, c := range map[string]struct {
		plugin, task string
		check        func(t *testing.T, terms image.PullOptions)
		want         string
	}{
		"without policy or wishes there are no terms": {check: func(t *testing.T, terms image.PullOptions) { must.True(t, terms == image.PullOptions{}) }},
		"the job's wishes are kept": {task: `force_pull = true
			auth_soft_fail = true
			auth { token = "t" }`, check: func(t *testing.T, terms image.PullOptions) {
			must.True(t, terms == image.PullOptions{ForcePull: true, AuthSoftFail: true, Credentials: image.Credentials{Token: "t"}})
		}},
		"the job's key is used": {task: fmt.Sprintf("signify_pubkey = %q", ours), check: func(t *testing.T, terms image.PullOptions) {
			must.NotNil(t, terms.Key)
		}},
		"the operator's key is used": {plugin: fmt.Sprintf("verify { signify_pubkey = %q }", ours), check: func(t *testing.T, terms image.PullOptions) {
			must.NotNil(t, terms.Key)
		}},
		"a job cannot replace the operator's key": {
			plugin: fmt.Sprintf("verify { signify_pubkey = %q }", ours), task: fmt.Sprintf("signify_pubkey = %q", theirs),
			want: "config.signify_pubkey: is key ",
		},
		"a required signature needs a key":    {plugin: "verify { require_signature = true }", want: "config.signify_pubkey: must be set: this client only accepts signed images"},
		"a key needs an absolute path":        {task: `signify_pubkey = "key.pub"`, want: "config.signify_pubkey: must be an absolute path"},
		"a file that is not a key is refused": {task: `signify_pubkey = "/etc/passwd"`, want: "config.signify_pubkey: /etc/passwd: not a signify public key"},
		"the operator's credentials are used": {plugin: fmt.Sprintf("auth { file = %q }", logins), check: func(t *testing.T, terms image.PullOptions) {
			must.True(t, terms.Credentials == image.Credentials{Token: "of-the-node"})
		}},
		"the job's credentials come first": {plugin: fmt.Sprintf("auth { file = %q }", logins), task: `auth { header = "X: y" }`, check: func(t *testing.T, terms image.PullOptions) {
			must.True(t, terms.Credentials == image.Credentials{Header: "X: y"})
		}},
		"two kinds of credentials are refused":    {task: "auth {\n token = \"geheim\"\n username = \"a\"\n}", want: "config.auth: must be username and password, token, or header: one of them"},
		"a URL below allowed_images is accepted":  {plugin: `allowed_images = ["https://images.example.org"]`, check: func(*testing.T, image.PullOptions) {}},
		"a URL outside allowed_images is refused": {plugin: `allowed_images = ["https://images.example.org/pots-of-mine", "file:///srv"]`, want: "config.image: is not below any URL in this client's allowed_images"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := backendOf(t, c.plugin).plan(taskOf(t, least+c.task))
			if c.want != "" {
				must.ErrorContains(t, err, c.want)
				must.StrNotContains(t, err.Error(), "geheim")
				return
			}
			must.NoError(t, err)
			c.check(t, p.terms)
		})
	}
	for body, want := range map[string]string{
		fmt.Sprintf("auth { file = %q }", logins+".public"): "auth.file: " + logins + ".public: others can use it",
		`verify { signify_pubkey = "/nonexistent" }`:        "verify.signify_pubkey: ",
		`allowed_images = ["https://x/..%2f"]`:              "allowed_images[0]: must not have",
		`pull { ca_file = "/etc/passwd" }`:                  "pull.ca_file: /etc/passwd: no certificate in PEM",
		`pull { decoder_memory = "much" }`:                  "pull.decoder_memory: must be a size",
		`cache { max_size = "0" }`:                          "cache.max_size: must be a size",
	} {
		_, err := configOf(t, body).settings("linux")
		must.ErrorContains(t, err, want)
	}
}

// A user in the URL of an image is a credential, and not part of the image's name.
func TestTaskConfig_login(t *testing.T) {
	leak.Check(t, leak.Foreign)
	p, err := backendOf(t, "").plan(taskOf(t, strings.Replace(least, "https://", "https://ann:geheim@", 1)))
	must.NoError(t, err)
	must.Eq(t, "https://images.example.org/pots", p.ref.Source)
	must.True(t, p.terms.Credentials == image.Credentials{Username: "ann", Password: "geheim"})
	must.StrNotContains(t, fmt.Sprintf("%+v %#v", p.terms, p.terms), "geheim")
	_, err = backendOf(t, "").plan(taskOf(t, strings.Replace(least, "https://", "https://ann:geheim@", 1)+`auth { token = "geheim" }`))
	must.ErrorContains(t, err, "config.auth: mutually exclusive with a user in config.image")
	must.StrNotContains(t, err.Error(), "geheim")
}

// startAll starts tasks concurrently, and returns the error of each.
func startAll(b *bed, all []*drivers.TaskConfig) []error {
	errs := make([]error, len(all))
	var started sync.WaitGroup
	for i, cfg := range all {
		started.Go(func() { _, _, errs[i] = b.StartTask(cfg) })
	}
	started.Wait()
	return errs
}

// dieHalfWay has a server die for good once it has sent half of a file, until revive is called.
func dieHalfWay(server *imagetest.Server, file string) (revive func()) {
	var lock sync.Mutex
	dead := false
	server.Fail(file, func(w http.ResponseWriter, r *http.Request, xz []byte) {
		imagetest.HangUpAfter(len(xz)/2, func() {
			lock.Lock()
			defer lock.Unlock()
			dead = true
		})(w, r, xz)
	})
	server.Guard(func(*http.Request) bool {
		lock.Lock()
		defer lock.Unlock()
		if dead {
			panic(http.ErrAbortHandler)
		}
		return true
	})
	return func() {
		server.Fail(file, nil)
		lock.Lock()
		defer lock.Unlock()
		dead = false
	}
}

// Twenty tasks whose image is missing share one download and one import. If the server
// dies half way all fail with the same error, and the next download resumes there.
func TestDriver_StartTask_together(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	file := imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"
	tasks := func() (all []*drivers.TaskConfig) {
		for range 20 {
			all = append(all, b.task(t, `network_mode = "none"`, "sleep", "1h"))
		}
		return all
	}
	revive := dieHalfWay(b.server, file)
	errs := startAll(b, tasks())
	for _, err := range errs {
		must.Error(t, err)
		must.True(t, structs.IsRecoverable(err), must.Sprint(err))
		must.Eq(t, errs[0].Error(), err.Error())
	}
	nothingLeft(t, b.dir)

	revive()
	before := map[string]int{}
	for _, ending := range []string{"", ".meta", ".skein"} {
		before[ending] = b.server.Gets(file + ending)
	}
	all := tasks()
	for _, err := range startAll(b, all) {
		must.NoError(t, err)
	}
	for ending, n := range before {
		must.Eq(t, n+1, b.server.Gets(file+ending), must.Sprint(ending))
	}
	ranges := b.server.Ranges(file)
	must.SliceNotEmpty(t, ranges)
	must.Eq(t, fmt.Sprintf("bytes=%d-", len(imagetest.Hello(""))/2), ranges[len(ranges)-1])
	for _, cfg := range all {
		status, err := b.InspectTask(cfg.ID)
		must.NoError(t, err)
		must.Eq(t, drivers.TaskStateRunning, status.State)
	}
	images, err := b.driver.current().pots.Host().Images.List(t.Context(), "")
	must.NoError(t, err)
	images = slices.DeleteFunc(images, func(name string) bool { return strings.HasPrefix(name, "web_") })
	must.Len(t, 1, images)
}

// Tasks that start together share one download of their image.
func TestDriver_StartTask_oneDownload(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	var all sync.WaitGroup
	for range 5 {
		cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
		all.Go(func() {
			_, _, err := b.StartTask(cfg)
			must.NoError(t, err)
		})
	}
	all.Wait()
	must.Eq(t, 1, b.server.Gets(helloXZ))
}
