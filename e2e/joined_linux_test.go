//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// oneLocalhost waits until both tasks of an allocation run and have one address and one
// loopback: each sees that side listens on 127.0.0.1:9090.
func oneLocalhost(t *testing.T, c *cluster.Cluster, id string) {
	t.Helper()
	until(t, func() error {
		all := running(t, c, id)
		if len(all) != 1 {
			return fmt.Errorf("%d allocations of %s run", len(all), id)
		}
		var seen []string
		for _, task := range []string{"web", "side"} {
			if _, listening, err := c.Exec(ctx(t), all[0], task, "/bin/hello", "cat", "/proc/net/tcp"); err != nil || !strings.Contains(listening, "0100007F:2382 ") {
				return fmt.Errorf("task %s sees %q, %v: %s", task, listening, err, cluster.Story(all[0]))
			}
			_, hosts, err := c.Exec(ctx(t), all[0], task, "/bin/hello", "cat", "/etc/hosts")
			if err != nil {
				return err
			}
			lines := strings.Split(strings.TrimSpace(hosts), "\n")
			address, _, _ := strings.Cut(lines[len(lines)-1], " ")
			seen = append(seen, address)
		}
		if seen[0] != seen[1] {
			return fmt.Errorf("the tasks have addresses %q", seen)
		}
		return nil
	})
}

// restart restarts a task, and waits until the tasks in all have been started anew.
func restart(t *testing.T, c *cluster.Cluster, alloc *api.Allocation, task string, all ...string) {
	t.Helper()
	before, _, err := c.Allocations().Info(alloc.ID, nil)
	must.NoError(t, err)
	must.NoError(t, c.Allocations().Restart(alloc, task, nil))
	until(t, func() error {
		now, _, err := c.Allocations().Info(alloc.ID, nil)
		if err != nil {
			return err
		}
		for name, state := range now.TaskStates {
			anew := state.StartedAt.After(before.TaskStates[name].StartedAt)
			if state.State != "running" || anew != slices.Contains(all, name) {
				return fmt.Errorf("task %s, started anew: %t: %s", name, anew, cluster.Story(now))
			}
		}
		return nil
	})
}

// A service and its sidecar have one network, whatever ends and is killed in between, and
// nothing is left of it.
func TestJobs_joined(t *testing.T) {
	c := newCluster(t)
	for name, mode := range map[string][2]string{
		"joined-to-task":  {`ports = ["http"]`, `network_mode = "task:web"`},
		"joined-to-group": {`network_mode = "group"`, `network_mode = "group"`},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := c.RunHCL(joinedJob(c, name, mode[0], mode[1]), "")
			must.NoError(t, err)
			alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
			must.NoError(t, err)
			must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
			works := func() {
				t.Helper()
				oneLocalhost(t, c, id)
				serves("http")(t, c, id)
			}
			works()
			_, err = c.KillPlugin()
			must.NoError(t, err)
			works()
			restart(t, c, alloc, "side", "side")
			works()
			if mode[0] == mode[1] {
				restart(t, c, alloc, "web", "web")
			} else {
				restart(t, c, alloc, "web", "web", "side")
			}
			works()
			c.KillAgent()
			killPlugin(t, c)
			must.NoError(t, c.StartAgent(ctx(t)))
			works()
			must.Len(t, 1, running(t, c, id))
			must.NoError(t, c.Purge(ctx(t), id))
		})
	}
}
