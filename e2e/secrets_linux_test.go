//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/image/imagetest"
)

// planted is what every secret of this test has in it.
const planted = "planted-secret"

// What Nomad gives a task in confidence is told by nothing of the driver's: its
// files, its log and the agent's with all that they can say, events, the node, command
// lines, environments. The agent's own state, where Nomad keeps jobs, is its affair.
func TestSecrets(t *testing.T) {
	logins := filepath.Join(t.TempDir(), "logins.json")
	server := imagetest.NewServer(t)
	server.Guard(func(r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		return ok && user == "puller" && strings.HasPrefix(password, planted)
	})
	text, err := json.Marshal(map[string]any{server.URL: map[string]string{"username": "puller", "password": planted + "-file"}})
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(logins, text, 0o600))
	c := newClusterWith(t, cluster.Config{Trace: true, Driver: fmt.Sprintf("auth { file = %q }", logins)})

	// What a template renders is secret; its text is the job's, and the agent logs it.
	_, _, err = c.Variables().Create(&api.Variable{Path: "nomad/jobs", Items: api.VariableItems{"password": planted + "-template"}}, nil)
	must.NoError(t, err)
	const password = `{{ with nomadVar \"nomad/jobs\" }}{{ .password }}{{ end }}`
	secrets := fmt.Sprintf(`
      env { IN_ENV = "%s-env" }
      template {
        data        = "RENDERED=%[2]s"
        destination = "secrets/rendered.env"
        env         = true
      }
      template {
        data        = "%[2]s"
        destination = "secrets/token"
      }`, planted, password)
	run := func(j job, wanted ...string) *api.Allocation {
		t.Helper()
		j.kind, j.task = "service", secrets
		id, err := c.RunHCL(j.hcl(c), "")
		must.NoError(t, err)
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.SliceContains(t, wanted, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
		noneTold(t, c, alloc)
		return alloc
	}
	byFile := run(job{name: "by-file", image: server.URL, config: hello(`"signals"`)}, api.AllocClientStatusRunning)
	for name, argv := range map[string][]string{"env": {"/bin/hello", "env"}, "file": {"/bin/hello", "cat", "/secrets/token"}} {
		_, out, err := c.Exec(ctx(t), byFile, "task", argv...)
		must.NoError(t, err)
		must.StrContains(t, out, planted+"-template", must.Sprint(name)) // it is there, for the task
	}
	run(job{name: "by-task", image: server.URL, config: hello(`"signals"`) + `
        auth {
          username = "puller"
          password = "` + planted + `-task"
        }`}, api.AllocClientStatusRunning)
	withUser := func(password string) string {
		return strings.Replace(server.URL, "://", "://puller:"+password+"@", 1)
	}
	run(job{name: "by-url", image: withUser(planted + "-url"), config: hello(`"signals"`)}, api.AllocClientStatusRunning)
	run(job{name: "refused", image: withUser("wrong-" + planted), config: hello(`"signals"`)}, api.AllocClientStatusFailed)
	run(job{name: "no-such-command", image: server.URL, config: `command = "/bin/nothing"`}, api.AllocClientStatusFailed)

	_, err = c.KillPlugin()
	must.NoError(t, err)
	until(t, func() error { _, _, err := c.Exec(ctx(t), byFile, "task", "/bin/hello", "exit", "0"); return err })
	noneTold(t, c, byFile)
	stopJobs(ctx(t), t, c)
	noneTold(t, c, nil)
}

// noneTold looks for secrets wherever the driver could have told them. What is below a
// task's own directories, as mounted in its pot, is the task's.
func noneTold(t *testing.T, c *cluster.Cluster, alloc *api.Allocation) {
	t.Helper()
	holdsNone := func(what, text string) {
		t.Helper()
		if i := strings.Index(text, planted); i >= 0 {
			t.Errorf("%s tells a secret: …%q…", what, text[max(0, i-60):min(len(text), i+40)])
		}
	}
	if alloc != nil {
		holdsNone("an event", cluster.Story(alloc))
	}
	log, err := os.ReadFile(c.Log())
	must.NoError(t, err)
	must.StrContains(t, string(log), "[TRACE]")
	holdsNone("the log", string(log))
	nodes, _, err := c.Nodes().List(nil)
	must.NoError(t, err)
	node, _, err := c.Nodes().Info(nodes[0].ID, nil)
	must.NoError(t, err)
	holdsNone("the node", fmt.Sprint(node.Attributes, node.Drivers["pot"], node.Events))
	files := 0
	must.NoError(t, filepath.WalkDir(c.StateDir(), func(path string, d fs.DirEntry, err error) error {
		below, _ := filepath.Rel(c.StateDir(), path)
		parts := strings.Split(below, string(filepath.Separator)) // jails NAME m secrets
		switch {
		case os.IsNotExist(err): // of a pot that has come to its end
			return nil
		case err != nil:
			return err
		case len(parts) == 4 && parts[0] == "jails" && parts[2] == "m" && (parts[3] == "secrets" || parts[3] == "alloc" || parts[3] == "local"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		files++
		data, err := os.ReadFile(path)
		holdsNone(path, string(data))
		if os.IsNotExist(err) {
			err = nil
		}
		return err
	}))
	must.Greater(t, 3, files)
	processes, err := machine.Processes()
	must.NoError(t, err)
	for _, p := range processes {
		holdsNone(fmt.Sprint("the command line of process ", p.PID), strings.Join(p.Argv, " "))
		if name := filepath.Base(p.Path); name == "pot-supervisor" || name == "nomad-driver-pot" {
			environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID)) // it may have ended
			holdsNone(fmt.Sprint("the environment of process ", p.PID), string(environ))
		}
	}
}
