//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/need"
)

// oldCommit is the commit whose plugin TestUpgrade upgrades. bundle.sh reads it here.
const oldCommit = "fb981e207f3b47fbc0d88c19dc83e36fe8fc2a57"

// The plugin reattaches to tasks that an old plugin started, whose files, handles and
// supervisors are of that version.
func TestUpgrade(t *testing.T) {
	dir := newPlugins(t)
	dir.install(t, oldPlugins(t))
	c := newClusterOf(t, string(dir))
	start := func(j job) *api.Allocation {
		t.Helper()
		_, err := c.RunHCL(j.hcl(c), "")
		must.NoError(t, err)
		alloc, err := c.Alloc(ctx(t), j.name, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
		return alloc
	}
	signals := start(job{name: "signals", kind: "service", config: hello(`"signals"`)})
	serve := start(job{name: "serve", kind: "service", config: hello(`"serve", ":8080"`), group: `network {
		port "http" { to = 8080 }
	}`})
	batch := start(job{name: "batch", config: hello(`"sleep", "1h"`)})
	_, err := c.Says(ctx(t), signals, "task", "ready")
	must.NoError(t, err)
	until(t, func() error { return answers(serve) })
	code, out, err := c.Exec(ctx(t), signals, "task", "/bin/hello", "exit", "7")
	must.NoError(t, err)
	must.Eq(t, 7, code, must.Sprint(out))
	pid := pidOf(t, "/bin/hello", "signals")

	c.StopAgent()
	noPlugin(t, c)
	must.NoError(t, syscall.Kill(pidOf(t, "/bin/hello", "sleep", "1h"), syscall.SIGQUIT))
	dir.install(t, bin(t))
	must.NoError(t, c.StartAgent(ctx(t)))

	t.Run("signals, logs and exec reach a task", func(t *testing.T) { goesOn(t, c, signals, pid, 1) })
	t.Run("published ports lead to a task", func(t *testing.T) { until(t, func() error { return answers(serve) }) })
	t.Run("a task's use is measured", func(t *testing.T) {
		until(t, func() error {
			use, err := c.Allocations().Stats(serve, nil)
			if err != nil {
				return err
			}
			if task := use.Tasks["task"]; task == nil || task.ResourceUsage == nil || task.ResourceUsage.MemoryStats.RSS == 0 {
				return fmt.Errorf("no memory in %+v", use.Tasks)
			}
			return nil
		})
	})
	t.Run("the exit code of a command that ended without a plugin is reported", func(t *testing.T) {
		alloc, err := c.Alloc(ctx(t), "batch", api.AllocClientStatusComplete, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.Eq(t, batch.ID, alloc.ID)
		must.StrContains(t, cluster.Story(alloc), "Exit Code: 2") // package os/signal: SIGQUIT
	})
	t.Run("a task stops, and another can be started", func(t *testing.T) {
		must.NoError(t, c.Purge(ctx(t), "signals"))
		start(job{name: "new", kind: "service", config: hello(`"signals"`)})
	})
}

// answers returns nil if the first port of an allocation's group has an HTTP server.
func answers(alloc *api.Allocation) error {
	port := alloc.AllocatedResources.Shared.Ports[0]
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + net.JoinHostPort(port.HostIP, fmt.Sprint(port.Value)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(text), "hello from ") {
		err = fmt.Errorf("%s: %q", resp.Status, text)
	}
	return err
}

// oldPlugins returns a directory with the programs of oldCommit. The bundle has them; a
// tree with its history builds them.
func oldPlugins(t *testing.T) string {
	t.Helper()
	if dir := filepath.Join(bin(t), "old"); exists(dir) {
		return dir
	}
	needSources(t)
	need.Have(t, "git", exec.Command("git", "cat-file", "-e", oldCommit+"^{commit}").Run() == nil)
	dir := t.TempDir()
	for _, argv := range [][]string{
		{"git", "-C", "..", "archive", "-o", dir + "/old.tar", oldCommit},
		{"tar", "-C", dir, "-xf", dir + "/old.tar"},
	} {
		said, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		must.NoError(t, err, must.Sprint(string(said)))
	}
	goBuild(t, dir, "-ldflags", "-s -w", "-o", dir+"/bin/", ".", "./pot/supervise/pot-supervisor")
	return dir + "/bin"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
