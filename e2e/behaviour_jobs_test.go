//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// jobBehaviours are the types of jobs, and where and how often they run.
var jobBehaviours = []behaviour{
	{"a batch job with a count runs each of its allocations to its end", func(t *testing.T, b *bed) {
		id := b.register(t, `
job "batch-count" {
  type = "batch"
  group "group" {
    count = 3`+helloTask("main", `"exit", "0"`, "", "")+`
  }
}`)
		b.counts(t, id, 3, api.AllocClientStatusComplete)
	}},
	{"a periodic job is launched by its schedule", func(t *testing.T, b *bed) {
		id := b.register(t, `
job "each-second" {
  type = "batch"
  periodic {
    crons            = ["* * * * * * *"]
    prohibit_overlap = true
  }
  group "group" {`+helloTask("main", `"exit", "0"`, "", "")+`
  }
}`)
		until(t, func() error {
			jobs, _, err := b.Jobs().PrefixList(id + "/periodic-")
			if err != nil {
				return err
			}
			done := 0
			for _, j := range jobs {
				if j.JobSummary != nil && j.JobSummary.Summary["group"].Complete == 1 {
					done++
				}
			}
			if done < 2 {
				return fmt.Errorf("%d of %d jobs are complete", done, len(jobs))
			}
			return nil
		})
	}},
	{"a system job runs on the client, and its task is restarted", func(t *testing.T, b *bed) {
		alloc := b.runs(t, systemJob("system-job", "system", helloTask("main", `"serve"`, "", "")))
		must.Eq(t, b.node(t).ID, alloc.NodeID)
		must.NoError(t, b.Allocations().Signal(alloc, nil, "main", "SIGKILL"))
		b.allocation(t, alloc.ID, func(now *api.Allocation) error {
			if state := now.TaskStates["main"]; state.Restarts != 1 || state.State != "running" {
				return fmt.Errorf("%d restarts, %s", state.Restarts, state.State)
			}
			return nil
		})
	}},
	{"a sysbatch job runs once on the client", func(t *testing.T, b *bed) {
		alloc := b.ends(t, systemJob("sysbatch-job", "sysbatch", helloTask("main", `"exit", "0"`, "", "")), api.AllocClientStatusComplete)
		must.Eq(t, b.node(t).ID, alloc.NodeID)
	}},
	{"constraints and affinities see the driver's attributes and the node's meta", func(t *testing.T, b *bed) {
		b.ends(t, job{name: "constraints", config: hello(`"exit", "0"`), group: `
			constraint {
				attribute = "${attr.driver.pot.version}"
				operator  = "is_set"
			}
			constraint {
				attribute = "${meta.rack}"
				operator  = "regexp"
				value     = "^r[0-9]$"
			}
			affinity {
				attribute = "${node.class}"
				value     = "any"
			}
			spread {
				attribute = "${meta.rack}"
			}`}.hcl(b.Cluster), api.AllocClientStatusComplete)
	}},
	{"a job waits until a client meets its constraint", func(t *testing.T, b *bed) {
		id := b.register(t, job{name: "waits-for-meta", config: hello(`"exit", "0"`), group: `
			constraint {
				attribute = "${meta.disk}"
				value     = "fast"
			}`}.hcl(b.Cluster))
		b.waits(t, id, func(m *api.AllocationMetric) bool { return m.ConstraintFiltered["${meta.disk} = fast"] > 0 })
		_, err := b.Nodes().Meta().Apply(&api.NodeMetaApplyRequest{NodeID: b.node(t).ID, Meta: map[string]*string{"disk": new("fast")}}, nil)
		must.NoError(t, err)
		b.reaches(t, id, api.AllocClientStatusComplete)
	}},
	{"a job that asks for more memory than a client has waits", func(t *testing.T, b *bed) {
		id := b.register(t, `
job "too-big" {
  type = "batch"
  group "group" {
    task "main" {
      driver = "pot"
      config {
        image = var.image
        pot   = var.pot
        tag   = "1.0"
      }
      resources {
        memory = 100000000
      }
    }
  }
}`)
		b.waits(t, id, func(m *api.AllocationMetric) bool { return m.DimensionExhausted["memory"] > 0 })
	}},
	{"a job is scaled up and down, and what runs on is not restarted", func(t *testing.T, b *bed) {
		id := b.register(t, versioned("scaled", "1", ""))
		deployed(t, b.Cluster, id, 0) // until then Nomad refuses to scale it
		first := b.counts(t, id, 2, api.AllocClientStatusRunning)
		scale := func(n int) {
			_, _, err := b.Jobs().Scale(id, "group", &n, "", false, nil, nil)
			must.NoError(t, err)
		}
		scale(3)
		deployed(t, b.Cluster, id, 1)
		b.counts(t, id, 3, api.AllocClientStatusRunning)
		scale(1)
		b.counts(t, id, 2, api.AllocClientStatusComplete)
		left := b.counts(t, id, 1, api.AllocClientStatusRunning)
		must.True(t, left[0].ID == first[0].ID || left[0].ID == first[1].ID)
		must.Eq(t, 0, left[0].TaskStates["main"].Restarts)
	}},
	{"a job that was stopped can be registered again", func(t *testing.T, b *bed) {
		text := service("stopped", helloTask("main", `"serve"`, "", ""))
		first := b.runs(t, text)
		must.NoError(t, b.Purge(ctx(t), first.JobID))
		must.NotEq(t, first.ID, b.replaced(t, b.register(t, text), first).ID)
	}},
	{"a job that is purged is forgotten, and its tasks are stopped", func(t *testing.T, b *bed) {
		id, err := b.RunHCL(withImage(b, service("purged", helloTask("main", `"sleep", "5h7m"`, "", ""))), "")
		must.NoError(t, err)
		b.running(t, id)
		runs(t, true, "/bin/hello", "sleep", "5h7m")
		_, _, err = b.Jobs().Deregister(id, true, nil)
		must.NoError(t, err)
		runs(t, false, "/bin/hello", "sleep", "5h7m")
		_, _, err = b.Jobs().Info(id, nil)
		must.ErrorContains(t, err, "404")
	}},
	{"a failed allocation is placed again by force", func(t *testing.T, b *bed) {
		failed := b.ends(t, `
job "forced" {
  type = "batch"
  group "group" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 1
      interval  = "24h"
      delay     = "1h"
      unlimited = false
    }`+helloTask("main", `"exit", "1"`, "", "")+`
  }
}`, api.AllocClientStatusFailed)
		b.allocation(t, failed.ID, func(now *api.Allocation) error { // until the server has made its plan
			if now.FollowupEvalID == "" {
				return fmt.Errorf("it is not to be placed again in an hour")
			}
			return nil
		})
		_, _, err := b.Jobs().EvaluateWithOpts(failed.JobID, api.EvalOptions{ForceReschedule: true}, nil)
		must.NoError(t, err)
		b.counts(t, failed.JobID, 2, api.AllocClientStatusFailed)
	}},
	{"groups of a job have pots of their own, named by task and allocation", func(t *testing.T, b *bed) {
		id := b.register(t, `
job "groups" {
  type = "batch"
  group "one" {`+helloTask("main", `"id"`, "", "")+`
  }
  group "two" {`+helloTask("main", `"id"`, "", "")+`
  }
}`)
		var hosts []string
		for _, alloc := range b.counts(t, id, 2, api.AllocClientStatusComplete) {
			out, err := b.Says(ctx(t), alloc, "main", "host ")
			must.NoError(t, err)
			hosts = append(hosts, out)
		}
		must.NotEq(t, hosts[0], hosts[1])
	}},
}

// systemJob is a job of type system or sysbatch.
func systemJob(name, kind, tasks string) string {
	return `
job "` + name + `" {
  type = "` + kind + `"
  group "group" {
    restart {
      attempts = 2
      delay    = "100ms"
      interval = "10m"
      mode     = "fail"
    }` + tasks + `
  }
}`
}

// counts waits until n allocations of a job have that status, and returns them.
func (b *bed) counts(t *testing.T, id string, n int, status string) (all []*api.Allocation) {
	t.Helper()
	until(t, func() error {
		stubs, _, err := b.Jobs().Allocations(id, true, nil)
		if err != nil {
			return err
		}
		stubs = slices.DeleteFunc(stubs, func(s *api.AllocationListStub) bool { return s.ClientStatus != status })
		if len(stubs) != n {
			return fmt.Errorf("%d of %d allocations are %s", len(stubs), n, status)
		}
		all = nil
		for _, s := range stubs {
			alloc, _, err := b.Allocations().Info(s.ID, nil)
			if err != nil {
				return err
			}
			all = append(all, alloc)
		}
		return nil
	})
	return all
}
