//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// What Nomad's own words ask for beside the config block: a service at the pot's
// address, templates that signal and run scripts, volumes, a user, a signal to end
// with, and no logs.
func TestWords(t *testing.T) {
	c := newCluster(t)
	variable := func(value string) {
		t.Helper()
		v := api.NewVariable("nomad/jobs/words")
		v.Items = api.VariableItems{"word": value}
		_, _, err := c.Variables().Update(v, nil)
		must.NoError(t, err)
	}
	variable("first")
	volume := hostVolume(t, c, "data")

	_, err := c.RunHCL(job{
		name: "words", kind: "service",
		config: hello(`"signals"`),
		group: `
			network {
				port "http" { to = 8080 }
			}
			volume "data" {
				type            = "host"
				source          = "data"
				access_mode     = "single-node-multi-writer"
				attachment_mode = "file-system"
			}`,
		task: `
			user = "web"
			service {
				provider     = "nomad"
				name         = "words"
				port         = "http"
				address_mode = "driver"
			}
			template {
				data          = "{{ with nomadVar \"nomad/jobs/words\" }}{{ .word }}{{ end }}"
				destination   = "local/signalled"
				change_mode   = "signal"
				change_signal = "SIGHUP"
			}
			template {
				data        = "{{ with nomadVar \"nomad/jobs/words\" }}{{ .word }}{{ end }}"
				destination = "local/scripted"
				change_mode = "script"
				change_script {
					command       = "/bin/hello"
					args          = ["write", "/alloc/data/script", "it ran"]
					fail_on_error = true
				}
			}
			volume_mount {
				volume      = "data"
				destination = "/data/ro/below"
				read_only   = true
			}
			volume_mount {
				volume      = "data"
				destination = "/data"
			}`,
	}.hcl(c), "")
	must.NoError(t, err)
	alloc, err := c.Alloc(ctx(t), "words", api.AllocClientStatusRunning, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	_, err = c.Says(ctx(t), alloc, "task", "ready")
	must.NoError(t, err)
	run := func(t *testing.T, argv ...string) (int, string) {
		t.Helper()
		code, out, err := c.Exec(ctx(t), alloc, "task", append([]string{"/bin/hello"}, argv...)...)
		must.NoError(t, err)
		return code, out
	}

	t.Run("a service is at the pot's address and port", func(t *testing.T) {
		until(t, func() error {
			found, _, err := c.Services().Get("words", nil)
			if err != nil || len(found) != 1 {
				return fmt.Errorf("%d services: %w", len(found), err)
			}
			if !strings.HasPrefix(found[0].Address, "10.199.") || found[0].Port != 8080 {
				return fmt.Errorf("it is at %s:%d", found[0].Address, found[0].Port)
			}
			return nil
		})
	})
	t.Run("commands run as the task's user", func(t *testing.T) {
		_, out := run(t, "id")
		must.StrContains(t, out, "uid 80 gid 80")
		_, out = run(t, "env")
		must.StrContains(t, out, "USER=web\n")
	})
	t.Run("a volume can be written to, unless it is read-only there, and none hides another", func(t *testing.T) {
		must.NoError(t, os.Chmod(volume, 0o777))
		code, out := run(t, "write", "/data/new", "x")
		must.Eq(t, 0, code, must.Sprint(out))
		must.FileContains(t, filepath.Join(volume, "new"), "x")
		code, out = run(t, "write", "/data/ro/below/new", "y")
		must.Eq(t, 1, code)
		must.StrContains(t, out, "read-only file system")
		code, out = run(t, "cat", "/data/ro/below/new")
		must.Eq(t, []any{0, "x\n"}, []any{code, out})
	})
	t.Run("a template that changes signals the task, and runs a script in it", func(t *testing.T) {
		variable("second")
		_, err := c.Says(ctx(t), alloc, "task", "got hangup")
		must.NoError(t, err)
		until(t, func() error {
			code, out := run(t, "cat", "/alloc/data/script")
			if code != 0 || out != "it ran\n" {
				return fmt.Errorf("%d: %s", code, out)
			}
			return nil
		})
		_, out := run(t, "cat", "/local/signalled")
		must.Eq(t, "second", strings.TrimSpace(out))
	})
}

// A task without logs runs, and nothing of its output is kept; its kill_signal is the
// one that it gets.
func TestWords_noLogs(t *testing.T) {
	c := newCluster(t)
	_, err := c.RunHCL(job{name: "quiet", config: hello(`"signals"`), task: `
		kill_signal = "SIGUSR2"
		logs {
			disabled = true
		}`}.hcl(c), "")
	must.NoError(t, err)
	alloc, err := c.Alloc(ctx(t), "quiet", api.AllocClientStatusRunning, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	until(t, func() error { // until it listens for signals
		code, out, err := c.Exec(ctx(t), alloc, "task", "/bin/hello", "id")
		if err == nil && code != 0 {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
	must.NoError(t, c.Purge(ctx(t), "quiet"))
	alloc, err = c.Alloc(ctx(t), "quiet", api.AllocClientStatusComplete, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusComplete, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	must.StrContains(t, cluster.Story(alloc), "Exit Code: 0")
}

// hostVolume makes a dynamic host volume, and returns where it is.
func hostVolume(t *testing.T, c *cluster.Cluster, name string) string {
	t.Helper()
	var made *api.HostVolumeCreateResponse
	until(t, func() (err error) { // until the client is known
		made, _, err = c.HostVolumes().Create(&api.HostVolumeCreateRequest{Volume: &api.HostVolume{
			Name: name, PluginID: "mkdir",
			RequestedCapabilities: []*api.HostVolumeCapability{{AttachmentMode: "file-system", AccessMode: "single-node-multi-writer"}},
		}}, nil)
		return err
	})
	var dir string
	until(t, func() error {
		v, _, err := c.HostVolumes().Get(made.Volume.ID, nil)
		if err == nil && (v.State != api.HostVolumeStateReady || v.HostPath == "") {
			err = fmt.Errorf("it is %s", v.State)
		}
		if err == nil {
			dir = v.HostPath
		}
		return err
	})
	return dir
}
