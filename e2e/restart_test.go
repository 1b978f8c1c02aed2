//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
)

// A task knows nothing of the deaths around it.
func TestRestart(t *testing.T) {
	c := newCluster(t)
	id, err := c.RunHCL(job{name: "ticks", kind: "service", config: hello(`"signals"`)}.hcl(c), "")
	must.NoError(t, err)
	alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	_, err = c.Says(ctx(t), alloc, "task", "ready")
	must.NoError(t, err)
	pid := pidOf(t, "/bin/hello", "signals")

	t.Run("it goes on when the plugin is killed", func(t *testing.T) {
		old, err := c.KillPlugin()
		must.NoError(t, err)
		goesOn(t, c, alloc, pid, 1)
		now, err := c.Plugin()
		must.NoError(t, err)
		must.NotEq(t, old, now)
	})
	t.Run("it goes on when the agent is killed and another is started", func(t *testing.T) {
		c.KillAgent()
		must.Eq(t, pid, pidOf(t, "/bin/hello", "signals"))
		must.NoError(t, c.StartAgent(ctx(t)))
		goesOn(t, c, alloc, pid, 2)
	})
	t.Run("it goes on when both are killed", func(t *testing.T) {
		c.KillAgent()
		if _, err := c.KillPlugin(); err != nil {
			t.Log("the plugin went with its agent:", err)
		}
		must.NoError(t, c.StartAgent(ctx(t)))
		goesOn(t, c, alloc, pid, 3)
	})
}

// goesOn fails the test unless the task is the process that it was, takes the
// n-th signal, and says so in its log.
func goesOn(t *testing.T, c *cluster.Cluster, alloc *api.Allocation, pid, n int) {
	t.Helper()
	// The client may be between two plugins, or two lives of its own.
	until(t, func() error { return c.Allocations().Signal(alloc, nil, "task", "SIGHUP") })
	var out string
	until(t, func() error {
		var err error
		out, err = c.Output(alloc, "task")
		if got := strings.Count(out, "hangup"); err == nil && got < n {
			return fmt.Errorf("the log has %d of %d signals: %q", got, n, out)
		}
		return err
	})
	must.Eq(t, 1, strings.Count(out, "ready"), must.Sprint(out))
	must.Eq(t, pid, pidOf(t, "/bin/hello", "signals"))
	code, said, err := c.Exec(ctx(t), alloc, "task", "/bin/hello", "exit", "7")
	must.NoError(t, err)
	must.Eq(t, 7, code, must.Sprint(said))
	now, _, err := c.Allocations().Info(alloc.ID, nil)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusRunning, now.ClientStatus, must.Sprint(cluster.Story(now)))
	must.Eq(t, 0, int(now.TaskStates["task"].Restarts))
}

// until tries try until it succeeds.
func until(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatal("in vain for a minute: ", err)
}

// pidOf is the process ID of the one process on this machine with this command
// line.
func pidOf(t *testing.T, argv ...string) int {
	t.Helper()
	all, err := machine.Processes()
	must.NoError(t, err)
	var found []int
	for _, p := range all {
		if slices.Equal(p.Argv, argv) {
			found = append(found, p.PID)
		}
	}
	must.Len(t, 1, found, must.Sprint(argv))
	return found[0]
}

// How a command ended while nobody looked is what is reported.
func TestRestart_endsMeanwhile(t *testing.T) {
	c := newCluster(t)
	ends := []struct {
		name         string
		args         []string
		with         syscall.Signal // what it is ended with
		code, signal int            // what is to be reported
		status       string
	}{
		{"by-itself", []string{"signals"}, syscall.SIGUSR2, 0, 0, api.AllocClientStatusComplete},
		{"with-code", []string{"sleep", "1h"}, syscall.SIGQUIT, 2, 0, api.AllocClientStatusFailed}, // package os/signal: status 2
		{"by-signal", []string{"sleep", "2h"}, syscall.SIGKILL, 137, 9, api.AllocClientStatusFailed},
	}
	for _, e := range ends {
		id, err := c.RunHCL(job{name: e.name, config: hello(`"` + strings.Join(e.args, `", "`) + `"`)}.hcl(c), "")
		must.NoError(t, err)
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
		if e.args[0] == "signals" {
			_, err = c.Says(ctx(t), alloc, "task", "ready")
			must.NoError(t, err)
		}
	}
	c.KillAgent()
	for _, e := range ends {
		must.NoError(t, syscall.Kill(pidOf(t, append([]string{"/bin/hello"}, e.args...)...), e.with))
	}
	must.NoError(t, c.StartAgent(ctx(t)))
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			alloc, err := c.Alloc(ctx(t), e.name, api.AllocClientStatusComplete, api.AllocClientStatusFailed)
			must.NoError(t, err)
			must.Eq(t, e.status, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
			var last *api.TaskEvent
			for _, event := range alloc.TaskStates["task"].Events {
				if event.Type == api.TaskTerminated {
					last = event
				}
			}
			must.NotNil(t, last, must.Sprint(cluster.Story(alloc)))
			must.Eq(t, e.code, last.ExitCode)
			must.Eq(t, e.signal, last.Signal)
		})
	}
}
