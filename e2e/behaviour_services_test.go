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

// webPort is a group's network with a port that leads to port 8080 of the pot.
const webPort = `
    network {
      port "http" { to = 8080 }
    }`

// serviceBehaviours are services of Nomad's own discovery, and their checks.
var serviceBehaviours = []behaviour{
	{"an HTTP check of a pot passes", checks("check-http", `":8080"`, `
        type = "http"
        path = "/"`, "success")},
	{"a TCP check of a pot passes", checks("check-tcp", `":8080"`, `
        type = "tcp"`, "success")},
	{"a check of a port that the task does not listen on fails", checks("check-fails", `"127.0.0.1:9"`, `
        type = "http"
        path = "/"`, "failure")},
	{"a task whose check fails is restarted by check_restart", func(t *testing.T, b *bed) {
		alloc := b.runs(t, `
job "check-restart" {
  group "group" {`+webPort+`
    restart {
      attempts = 5
      delay    = "100ms"
      interval = "1m"
      mode     = "delay"
    }
    service {
      name     = "check-restart"
      provider = "nomad"
      port     = "http"
      check {
        type     = "tcp"
        interval = "1s"
        timeout  = "1s"
        check_restart {
          limit = 1
          grace = "1s"
        }
      }
    }`+helloTask("web", `"sleep", "1h"`, "", "")+`
  }
}`)
		b.allocation(t, alloc.ID, func(now *api.Allocation) error {
			if n := now.TaskStates["web"].Restarts; n == 0 {
				return fmt.Errorf("it has not been restarted: %s", cluster.Story(now))
			}
			return nil
		})
	}},
	{"a script check, which Nomad's own discovery lacks, is refused with the job", func(t *testing.T, b *bed) {
		_, err := b.RunHCL(job{name: "check-script", kind: "service", config: hello(`"serve"`), task: `
			service {
				provider = "nomad"
				name     = "check-script"
				check {
					type     = "script"
					command  = "/bin/hello"
					interval = "1s"
					timeout  = "1s"
				}
			}`}.hcl(b.Cluster), "")
		must.ErrorContains(t, err, "script")
	}},
	{"a service of a group is at the host's address and port, with its tags", func(t *testing.T, b *bed) {
		alloc := b.runs(t, `
job "group-service" {
  group "group" {`+webPort+`
    service {
      name     = "group-service"
      provider = "nomad"
      port     = "http"
      tags     = ["blue", "${meta.rack}"]
    }`+helloTask("web", `"serve", ":8080"`, "", "")+`
  }
}`)
		port := alloc.AllocatedResources.Shared.Ports[0]
		b.service(t, "group-service", func(s *api.ServiceRegistration) error {
			if s.Address != port.HostIP || s.Port != port.Value || !slices.Equal(s.Tags, []string{"blue", "r1"}) {
				return fmt.Errorf("it is at %s:%d with tags %q", s.Address, s.Port, s.Tags)
			}
			return nil
		})
	}},
	{"a service goes with its task", func(t *testing.T, b *bed) {
		id := b.register(t, job{name: "service-ends", kind: "service", config: hello(`"serve", ":8080"`), group: webPort, task: `
			service {
				provider = "nomad"
				name     = "service-ends"
				port     = "http"
			}`}.hcl(b.Cluster))
		b.running(t, id)
		b.service(t, id, func(*api.ServiceRegistration) error { return nil })
		must.NoError(t, b.Purge(ctx(t), id))
		until(t, func() error {
			found, _, err := b.Services().Get(id, nil)
			if err == nil && len(found) > 0 {
				err = fmt.Errorf("it is registered: %+v", found[0])
			}
			return err
		})
	}},
	{"a template lists the services that run, and follows them", func(t *testing.T, b *bed) {
		b.runs(t, job{name: "backend-1", kind: "service", config: hello(`"serve", ":8080"`), group: webPort, task: backend}.hcl(b.Cluster))
		alloc := b.runs(t, job{name: "frontend", kind: "service", config: hello(`"serve", ":8080"`), task: `
			template {
				data        = "{{ range nomadService \"backend\" }}{{ .JobID }}\n{{ end }}"
				destination = "local/backends"
				change_mode = "noop"
			}`}.hcl(b.Cluster))
		b.runs(t, job{name: "backend-2", kind: "service", config: hello(`"serve", ":8080"`), group: webPort, task: backend}.hcl(b.Cluster))
		until(t, func() error {
			got := strings.Fields(b.execs(t, alloc, "task", "cat", "/local/backends"))
			slices.Sort(got)
			if !slices.Equal(got, []string{"backend-1", "backend-2"}) {
				return fmt.Errorf("backends: %q", got)
			}
			return nil
		})
	}},
}

const backend = `
	service {
		provider = "nomad"
		name     = "backend"
		port     = "http"
	}`

// checks is a job whose task serves at that address, and has a check that gets that status.
func checks(name, at, check, status string) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		alloc := b.runs(t, `
job "`+name+`" {
  group "group" {`+webPort+`
    service {
      name     = "`+name+`"
      provider = "nomad"
      port     = "http"
      check {`+check+`
        interval = "1s"
        timeout  = "2s"
      }
    }`+helloTask("web", `"serve", `+at, "", "")+`
  }
}`)
		b.checked(t, alloc, status)
	}
}

// checked waits until the one check of an allocation has that status.
func (b *bed) checked(t *testing.T, alloc *api.Allocation, status string) {
	t.Helper()
	until(t, func() error {
		all, err := b.Allocations().Checks(alloc.ID, nil)
		if err != nil {
			return err
		}
		for _, check := range all {
			if check.Status == status {
				return nil
			}
		}
		return fmt.Errorf("no check is a %s: %+v", status, all)
	})
}

// service waits until a service has one instance that is ok.
func (b *bed) service(t *testing.T, name string, ok func(*api.ServiceRegistration) error) {
	t.Helper()
	until(t, func() error {
		found, _, err := b.Services().Get(name, nil)
		switch {
		case err != nil:
			return err
		case len(found) != 1:
			return fmt.Errorf("%d instances of %s", len(found), name)
		}
		return ok(found[0])
	})
}
