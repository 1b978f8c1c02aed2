//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// fileBehaviours are artifacts, templates, volumes, payloads and the directories of tasks.
var fileBehaviours = []behaviour{
	{"an artifact is downloaded into the task's directory, with its checksum", func(t *testing.T, b *bed) {
		const text = "an artifact\n"
		b.serve(t, "artifacts/plain.txt", []byte(text))
		out := b.prints(t, job{name: "artifact", config: hello(`"cat", "/local/plain.txt"`), task: fmt.Sprintf(`
			artifact {
				source = "%s/artifacts/plain.txt"
				options {
					checksum = "sha256:%x"
				}
			}`, b.Images, sha256.Sum256([]byte(text)))})
		must.Eq(t, text, out)
	}},
	{"an artifact that is an archive is unpacked", func(t *testing.T, b *bed) {
		b.serve(t, "artifacts/site.tar.gz", archive(t, map[string]string{"www/index.html": "a page\n"}))
		out := b.prints(t, job{name: "artifact-archive", config: hello(`"cat", "/local/site/www/index.html"`), task: fmt.Sprintf(`
			artifact {
				source      = "%s/artifacts/site.tar.gz"
				destination = "local/site"
			}`, b.Images)})
		must.Eq(t, "a page\n", out)
	}},
	{"a task does not start without its artifact", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "artifact-missing", config: hello(`"exit", "0"`), task: fmt.Sprintf(`
			artifact {
				source = "%s/artifacts/nothing"
			}`, b.Images)}.hcl(b.Cluster), api.AllocClientStatusFailed)
		b.tells(t, alloc, "artifacts/nothing")
		must.True(t, alloc.TaskStates["task"].StartedAt.IsZero())
	}},
	{"a template that changes restarts the task, if it says so", func(t *testing.T, b *bed) {
		b.variable(t, "template-restart", "one")
		alloc := b.runs(t, job{name: "template-restart", kind: "service", config: hello(`"serve", ":8080"`), task: `
			template {
				data        = "WORD={{ with nomadVar \"nomad/jobs/template-restart\" }}{{ .word }}{{ end }}"
				destination = "secrets/word.env"
				env         = true
				change_mode = "restart"
				splay       = "0s"
			}`}.hcl(b.Cluster))
		must.StrContains(t, b.execs(t, alloc, "task", "env"), "WORD=one\n")
		b.variable(t, "template-restart", "two")
		b.allocation(t, alloc.ID, func(now *api.Allocation) error {
			if state := now.TaskStates["task"]; state.Restarts != 1 || state.State != "running" {
				return fmt.Errorf("%d restarts, %s", state.Restarts, state.State)
			}
			return nil
		})
		until(t, func() error {
			code, out, err := b.Exec(ctx(t), alloc, "task", "/bin/hello", "env")
			if err == nil && (code != 0 || !strings.Contains(out, "WORD=two\n")) {
				err = fmt.Errorf("%d: %s", code, out)
			}
			return err
		})
	}},
	{"a template renders the node, the allocation and the environment of the task", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "template-env", config: hello(`"cat", "/local/rendered"`), task: `
			env {
				WORD = "spoken"
			}
			template {
				data        = "{{ env \"node.unique.name\" }} {{ env \"NOMAD_TASK_NAME\" }} {{ env \"WORD\" }} {{ env \"meta.rack\" }}"
				destination = "local/rendered"
				perms       = "644"
			}`})
		must.Eq(t, "client task spoken r1", strings.TrimSpace(out))
	}},
	{"a template can be for the task's user alone", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "template-perms", kind: "service", config: hello(`"serve", ":8080"`), task: `
			user = "web"
			template {
				data        = "for web"
				destination = "local/mine"
				perms       = "400"
				uid         = 80
				gid         = 80
			}
			template {
				data        = "for root"
				destination = "local/others"
				perms       = "400"
				uid         = 0
				gid         = 0
			}`}.hcl(b.Cluster))
		must.Eq(t, "for web", strings.TrimSpace(b.execs(t, alloc, "task", "cat", "/local/mine")))
		code, out, err := b.Exec(ctx(t), alloc, "task", "/bin/hello", "cat", "/local/others")
		must.NoError(t, err)
		must.Eq(t, 1, code)
		must.StrContains(t, out, "permission denied")
	}},
	{"tasks of a group share /alloc, and each has its own /local and /secrets", func(t *testing.T, b *bed) {
		alloc := b.runs(t, service("directories", helloTask("one", `"serve"`, "", "")+helloTask("two", `"serve"`, "", "")))
		b.allRun(t, alloc)
		for _, dir := range []string{"/alloc/data", "/local", "/secrets", "/alloc/tmp"} {
			b.execs(t, alloc, "one", "write", dir+"/from-one", "x")
		}
		for dir, want := range map[string]bool{"/alloc/data": true, "/alloc/tmp": true, "/local": false, "/secrets": false} {
			must.Eq(t, want, strings.Contains(b.execs(t, alloc, "two", "ls", dir), "from-one"), must.Sprint(dir))
		}
	}},
	{"a sticky disk comes with an update", func(t *testing.T, b *bed) {
		text := func(version string) string {
			return `
job "sticky" {
  group "group" {
    ephemeral_disk {
      sticky = true
    }` + helloTask("main", `"serve"`, "", `env { VERSION = "`+version+`" }`) + `
  }
}`
		}
		old := b.runs(t, text("1"))
		b.execs(t, old, "main", "write", "/alloc/data/kept", "still here")
		id := b.register(t, text("2"))
		alloc := b.replaced(t, id, old)
		must.Eq(t, "still here\n", b.execs(t, alloc, "main", "cat", "/alloc/data/kept"))
	}},
	{"a parameterized job is dispatched with a payload and meta", func(t *testing.T, b *bed) {
		id := b.register(t, `
job "parameterized" {
  type = "batch"
  parameterized {
    payload       = "required"
    meta_required = ["to"]
  }
  group "group" {`+helloTask("main", `"cat", "/local/letter/${NOMAD_META_to}"`, "", `
      dispatch_payload {
        file = "letter/anna"
      }`)+`
  }
}`)
		_, _, err := b.Jobs().Dispatch(id, nil, []byte("dear"), "", nil)
		must.ErrorContains(t, err, "to")
		sent, _, err := b.Jobs().Dispatch(id, map[string]string{"to": "anna"}, []byte("dear Anna"), "", nil)
		must.NoError(t, err)
		alloc := b.reaches(t, sent.DispatchedJobID, api.AllocClientStatusComplete)
		_, err = b.Says(ctx(t), alloc, "main", "dear Anna")
		must.NoError(t, err)
	}},
	{"a host volume of the client's configuration is read and written", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "host-volume", config: hello(`"cat", "/example/greeting"`), group: `
			volume "example" {
				type   = "host"
				source = "example"
			}`, task: `
			volume_mount {
				volume      = "example"
				destination = "/example"
			}`})
		must.Eq(t, "a greeting\n", out)
	}},
	{"a job waits for a host volume that no client has", func(t *testing.T, b *bed) {
		id := b.register(t, job{name: "no-volume", kind: "service", config: hello(`"serve"`), group: `
			volume "nothing" {
				type   = "host"
				source = "nothing"
			}`, task: `
			volume_mount {
				volume      = "nothing"
				destination = "/nothing"
			}`}.hcl(b.Cluster))
		b.waits(t, id, func(m *api.AllocationMetric) bool { return m.ConstraintFiltered["missing compatible host volumes"] > 0 })
	}},
	{"a CSI volume is mounted in the pot", func(t *testing.T, b *bed) {
		t.Skip("no CSI plugin runs in a pot, or on a host without a container runtime")
	}},
	{"files are listed, measured and read by the API, but not secrets", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "fs", kind: "service", config: hello(`"serve"`)}.hcl(b.Cluster))
		b.execs(t, alloc, "task", "write", "/local/numbers", "0123456789")
		list, _, err := b.AllocFS().List(alloc, "task/local", nil)
		must.NoError(t, err)
		must.Len(t, 1, list)
		must.Eq(t, "numbers", list[0].Name)
		info, _, err := b.AllocFS().Stat(alloc, "task/local/numbers", nil)
		must.NoError(t, err)
		must.Eq(t, 11, info.Size)
		part, err := b.AllocFS().ReadAt(alloc, "task/local/numbers", 3, 4, nil)
		must.NoError(t, err)
		text, err := io.ReadAll(part)
		part.Close()
		must.NoError(t, err)
		must.Eq(t, "3456", string(text))
		b.execs(t, alloc, "task", "write", "/secrets/token", "s3cret")
		secret, err := b.cat(alloc, "task/secrets/token")
		must.StrNotContains(t, secret, "s3cret", must.Sprint(err))
	}},
}

// cat returns the contents of a file of an allocation.
func (b *bed) cat(alloc *api.Allocation, name string) (string, error) {
	r, err := b.AllocFS().Cat(alloc, name, nil)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

// variable sets the variable word that a job can read.
func (b *bed) variable(t *testing.T, id, word string) {
	t.Helper()
	v := api.NewVariable("nomad/jobs/" + id)
	v.Items = api.VariableItems{"word": word}
	_, _, err := b.Variables().Update(v, nil)
	must.NoError(t, err)
}

// replaced waits until an allocation of a job runs that is not old, and returns it.
func (b *bed) replaced(t *testing.T, id string, old *api.Allocation) (now *api.Allocation) {
	t.Helper()
	until(t, func() error {
		var err error
		now, err = b.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
		if err == nil && (now.ID == old.ID || now.ClientStatus != api.AllocClientStatusRunning) {
			err = fmt.Errorf("the newest allocation is %s, %s", now.ID, now.ClientStatus)
		}
		return err
	})
	return now
}

// archive returns a compressed tar archive of those files.
func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		must.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := io.WriteString(w, text)
		must.NoError(t, err)
	}
	must.NoError(t, w.Close())
	must.NoError(t, z.Close())
	return b.Bytes()
}
