//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/imagetest"
)

// groupJob is a job whose group has two tasks, with that much config each, and two ports.
func groupJob(c *cluster.Cluster, name, one, two string) string {
	task := func(name, config string) string {
		return fmt.Sprintf(`
    task %q {
      driver       = "pot"
      kill_timeout = "2s"
      config {
        image = %q
        pot   = %q
        tag   = "1.0"
        %s
        %s
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }`, name, c.Images, imagetest.HelloName, hello(`"serve", ":8080"`), config)
	}
	return fmt.Sprintf(`
job %q {
  group "group" {
    network {
      port "http" { to = 8080 }
      port "admin" { to = 8080 }
    }
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    %s
    %s
  }
}`, name, task("one", one), task("two", two))
}

// Several tasks of a group: each publishes what it names, and none that others publish.
func TestJobs_groupPorts(t *testing.T) {
	c := newCluster(t)
	answer := func(alloc *api.Allocation, label string) (string, error) {
		for _, port := range alloc.AllocatedResources.Shared.Ports {
			if port.Label != label {
				continue
			}
			client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Get("http://" + net.JoinHostPort(port.HostIP, fmt.Sprint(port.Value)))
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			return string(text), err
		}
		return "", fmt.Errorf("no port %s", label)
	}
	for name, config := range map[string]struct{ one, two, http, admin string }{
		"each-its-own": {`ports = ["http"]`, `ports = ["admin"]`, "one_", "two_"},
		"one-is-named": {``, `ports = ["admin"]`, "one_", "two_"},
		"by-port-map":  {"port_map {\n http = 8080\n }", "port_map {\n admin = 8080\n }", "one_", "two_"},
		"none-named":   {"", "", "_", "_"}, // whichever is first has both
	} {
		t.Run(name, func(t *testing.T) {
			id, err := c.RunHCL(groupJob(c, name, config.one, config.two), "")
			must.NoError(t, err)
			alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
			must.NoError(t, err)
			must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
			for label, want := range map[string]string{"http": config.http, "admin": config.admin} {
				until(t, func() error {
					text, err := answer(alloc, label)
					if err == nil && !strings.Contains(text, "hello from "+strings.TrimPrefix(want, "_")) {
						err = fmt.Errorf("%s: %q", label, text)
					}
					return err
				})
			}
			until(t, func() error {
				now, _, err := c.Allocations().Info(alloc.ID, nil)
				if err != nil {
					return err
				}
				for task, state := range now.TaskStates {
					if state.State != "running" {
						return fmt.Errorf("task %s is %s: %s", task, state.State, cluster.Story(now))
					}
				}
				if left := `Did not publish port "admin" and port "http": task "`; name == "none-named" && !strings.Contains(cluster.Story(now), left) {
					return fmt.Errorf("no %q in %s", left, cluster.Story(now))
				}
				return nil
			})
			must.NoError(t, c.Purge(ctx(t), id))
		})
	}
}
