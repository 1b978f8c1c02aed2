package driver

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
)

// planted is part of every secret of a test, and of the environment of bed.task.
const planted = "planted-secret"

// holdsNone fails the test if there is a secret in text.
func holdsNone(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.Index(text, planted); i >= 0 {
		t.Errorf("%s has a secret: …%q…", what, text[max(0, i-60):min(len(text), i+40)])
	}
}

// A secret is in the task and in the directories that Nomad made for it. It is in no file of
// the driver's, log, event, handle, error, command line or environment.
func TestDriver_secrets(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	events := b.events(t)
	var messages sync.Map
	go func() {
		for { // Nomad's eventer does not close it
			select {
			case e := <-events:
				messages.Store(e.Message, true)
			case <-t.Context().Done():
				return
			}
		}
	}()

	b.server.Guard(func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+planted })
	cfg := b.task(t, fmt.Sprintf("auth { token = %q }", planted), "signals")
	secrets := cfg.TaskDir().SecretsDir
	for _, name := range []string{"token", "rendered.env"} {
		must.NoError(t, os.WriteFile(filepath.Join(secrets, name), []byte(planted), 0o600))
	}
	handle, _ := b.start(t, cfg)
	waitForOutput(t, cfg, "ready")
	must.StrContains(t, b.exec(t, cfg.ID, "env"), planted) // the task can read it
	must.StrContains(t, b.exec(t, cfg.ID, "cat", "/secrets/token"), planted)
	holdsNone(t, "the handle", string(handle.DriverState))
	status, err := b.InspectTask(cfg.ID)
	must.NoError(t, err)
	holdsNone(t, "the status", fmt.Sprint(status.DriverAttributes))
	machineHoldsNone(t, b, cfg)

	// The same holds after a restart of the plugin.
	b.open(t)
	must.NoError(t, b.RecoverTask(afterRestart(t, handle)))
	machineHoldsNone(t, b, cfg)

	// And when a start fails.
	b.unlogged = true
	for _, config := range []string{
		fmt.Sprintf("image = %q", strings.Replace(b.server.URL, "://", "://user:"+planted+"@", 1)), // 401
		fmt.Sprintf("auth { header = %q }", "X-Token: "+planted),
		fmt.Sprintf("auth { token = %q }\npot = \"none\"", planted),
		fmt.Sprintf("auth { token = %q }", planted+"\n"),
		fmt.Sprintf("image = %q", "http://user:"+planted+"@bad host"),
		fmt.Sprintf("image = %q", b.server.URL+"?token="+planted),
		fmt.Sprintf("image = %q", b.server.URL+"#"+planted),
		`command = "/bin/nothing"`,
	} {
		wrong := b.task(t, config)
		_, _, err := b.StartTask(wrong)
		must.Error(t, err)
		holdsNone(t, "the error", err.Error())
		machineHoldsNone(t, b, cfg)
	}
	must.NoError(t, b.StopTask(cfg.ID, time.Second, ""))
	must.NoError(t, b.DestroyTask(cfg.ID, true))
	must.StrContains(t, b.logged.String(), "cannot start task") // the log is not empty
	holdsNone(t, "the log", b.logged.String())
	count := 0
	messages.Range(func(message, _ any) bool {
		count++
		holdsNone(t, "an event", message.(string))
		return true
	})
	must.Positive(t, count)
}

// machineHoldsNone fails the test if a file or process has a secret. It skips the task's own
// directories, on the host and mounted in its pot.
func machineHoldsNone(t *testing.T, b *bed, cfg *drivers.TaskConfig) {
	t.Helper()
	holdsNone(t, "the log", b.logged.String())
	files := 0
	must.NoError(t, filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(filepath.Join(b.dir, "jails", string(TaskID(cfg.ID).PotName()), "m"), path)
		switch {
		case err != nil:
			return err
		case rel == "secrets" || rel == "alloc" || rel == "local":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		files++
		data, err := os.ReadFile(path)
		holdsNone(t, path, string(data))
		return err
	}))
	must.Greater(t, 5, files)
	processes, err := machine.Processes()
	must.NoError(t, err)
	for _, p := range processes {
		holdsNone(t, fmt.Sprint("the command line of process ", p.PID), strings.Join(p.Argv, " "))
		if p.Argv[0] == supervisor {
			environ, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(p.PID), "environ"))
			if err == nil { // it may have ended, or there be no such file
				holdsNone(t, fmt.Sprint("the environment of process ", p.PID), string(environ))
			}
		}
	}
}
