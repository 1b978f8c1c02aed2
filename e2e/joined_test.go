//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/imagetest"
)

// joinedJob is a job whose group has the tasks web and side, with that much config each. The
// service listens on its localhost alone, and the sidecar is a proxy on the group's port.
func joinedJob(c *cluster.Cluster, name, web, side string) string {
	return pairJob(c, name, imagetest.HelloName, hello(`"serve", "127.0.0.1:9090"`)+"\n"+web,
		cluster.SidecarName, "command = \"/bin/sidecar\"\nargs = [\"proxy\", \":8080\", \"127.0.0.1:9090\"]\n"+side)
}

// sharedJob is joinedJob with two services: web on the group's port, and side on localhost.
func sharedJob(c *cluster.Cluster, name, web, side string) string {
	return pairJob(c, name, imagetest.HelloName, hello(`"serve", ":8080"`)+"\n"+web,
		imagetest.HelloName, hello(`"serve", "127.0.0.1:9090"`)+"\n"+side)
}

// pairJob is a job whose group has the tasks web and side, each with the image and the config
// given, and the port http.
func pairJob(c *cluster.Cluster, name, webImage, web, sideImage, side string) string {
	task := func(name, pot, config string) string {
		return fmt.Sprintf(`
    task %q {
      driver       = "pot"
      kill_timeout = "2s"
      restart {
        attempts = 1000
        delay    = "1s"
        interval = "1h"
        mode     = "delay"
      }
      config {
        image = %q
        pot   = %q
        tag   = "1.0"
        %s
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }`, name, c.Images, pot, config)
	}
	return fmt.Sprintf(`
job %q {
  group "group" {
    network {
      port "http" { to = 8080 }
    }
    %s
    %s
  }
}`, name, task("web", webImage, web), task("side", sideImage, side))
}

// restart restarts a task, and waits until the tasks in all have been started anew. Before,
// it waits until all tasks of the allocation run: Nomad forgets a request that is too early.
func restart(t *testing.T, c *cluster.Cluster, alloc *api.Allocation, task string, all ...string) {
	t.Helper()
	var before *api.Allocation
	until(t, func() (err error) {
		if before, _, err = c.Allocations().Info(alloc.ID, nil); err != nil {
			return err
		}
		for name, state := range before.TaskStates {
			if state.State != "running" {
				return fmt.Errorf("task %s does not run: %s", name, cluster.Story(before))
			}
		}
		return nil
	})
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

// driven waits until the driver knows the task web of an allocation: after a plugin was
// killed, Nomad forgets requests that come before the next one.
func driven(t *testing.T, c *cluster.Cluster, alloc string) {
	t.Helper()
	until(t, func() error {
		now, _, err := c.Allocations().Info(alloc, nil)
		if err == nil {
			_, _, err = c.Exec(ctx(t), now, "web", "/bin/hello", "id")
		}
		return err
	})
}

// A service and its sidecar have one network, whatever ends and is killed in between, and
// nothing is left of it.
func TestJobs_joined(t *testing.T) {
	c := newClusterWith(t, cluster.Config{Sidecar: true}, sidecarDataset)
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
				says("http", "hello from ")(t, c, id)
				driven(t, c, alloc.ID)
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
