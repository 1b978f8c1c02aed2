//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// nodeBehaviours change the client's node, and so are tested one after another.
var nodeBehaviours = []behaviour{
	{"a client that is not eligible gets no more tasks, and its tasks run on", func(t *testing.T, b *bed) {
		old := b.runs(t, service("before-ineligible", helloTask("main", `"serve"`, "", "")))
		node := b.node(t).ID
		eligible := func(is bool) {
			_, err := b.Nodes().ToggleEligibility(node, is, nil)
			must.NoError(t, err)
		}
		eligible(false)
		id := b.register(t, service("while-ineligible", helloTask("main", `"serve"`, "", "")))
		b.waits(t, id, func(m *api.AllocationMetric) bool { return m.NodesEvaluated == 0 })
		must.Eq(t, old.ID, b.running(t, old.JobID).ID)
		eligible(true)
		b.running(t, id)
	}},
	{"a drain that ignores system jobs stops all other tasks", func(t *testing.T, b *bed) {
		web := b.runs(t, service("drained", `
    migrate {
      health_check     = "task_states"
      min_healthy_time = "100ms"
    }`+helloTask("main", `"serve"`, "", "")))
		system := b.runs(t, systemJob("not-drained", "system", helloTask("main", `"serve"`, "", "")))
		node := b.drain(t, &api.DrainSpec{Deadline: time.Minute, IgnoreSystemJobs: true})
		b.reached(t, web, api.AllocClientStatusComplete)
		b.drained(t, node)
		must.Eq(t, system.ID, b.running(t, system.JobID).ID)
		b.endDrain(t, node)
		b.replaced(t, web.JobID, web)
		must.Eq(t, 0, b.running(t, system.JobID).TaskStates["main"].Restarts)
	}},
	{"a drain waits for the end of batch tasks, and stops system jobs last", long(func(t *testing.T, b *bed) {
		batch := b.runs(t, job{name: "drained-batch", config: hello(`"signals"`)}.hcl(b.Cluster))
		b.says(t, batch, "ready\n")
		system := b.runs(t, systemJob("drained-last", "system", helloTask("main", `"serve"`, "", "")))
		node := b.drain(t, &api.DrainSpec{Deadline: time.Minute})
		must.NoError(t, b.Allocations().Signal(batch, nil, "task", "SIGHUP")) // it runs on
		b.says(t, batch, "got hangup\n")
		must.Eq(t, api.AllocClientStatusRunning, b.running(t, system.JobID).ClientStatus)
		must.NoError(t, b.Allocations().Signal(batch, nil, "task", "SIGUSR2"))
		b.reached(t, batch, api.AllocClientStatusComplete)
		b.reached(t, system, api.AllocClientStatusComplete)
		b.drained(t, node)
		b.endDrain(t, node)
		b.replaced(t, system.JobID, system)
	})},
	{"a drain with a deadline stops batch tasks that have not ended", func(t *testing.T, b *bed) {
		batch := b.runs(t, job{name: "drain-deadline", config: hello(`"sleep", "1h"`)}.hcl(b.Cluster))
		node := b.drain(t, &api.DrainSpec{Deadline: time.Second})
		b.allocation(t, batch.ID, func(now *api.Allocation) error {
			if !now.ClientTerminalStatus() {
				return fmt.Errorf("it is %s", now.ClientStatus)
			}
			return nil
		})
		b.drained(t, node)
		b.endDrain(t, node)
	}},
	{"a job of a higher priority takes the place of another", func(t *testing.T, b *bed) {
		most := b.node(t).NodeResources.Memory.MemoryMB * 6 / 10
		text := func(name string, priority int) string {
			text := service(name, helloTask("main", `"serve"`, "", ""))
			text = strings.Replace(text, "memory = 32", fmt.Sprintf("memory = %d", most), 1)
			return strings.Replace(text, `" {`, fmt.Sprintf("\" {\n  priority = %d", priority), 1)
		}
		low := b.runs(t, text("low", 10))
		b.runs(t, text("high", 90))
		now := b.reached(t, low, api.AllocClientStatusComplete)
		must.Eq(t, api.AllocDesiredStatusEvict, now.DesiredStatus)
	}},
	{"tasks, ports, services and logs are as they were when the agent is stopped and started", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "agent-restart", kind: "service", config: hello(`"serve", ":8080"`), group: webPort, task: `
			service {
				provider = "nomad"
				name     = "agent-restart"
				port     = "http"
				check {
					type     = "http"
					path     = "/"
					interval = "1s"
					timeout  = "2s"
				}
			}`}.hcl(b.Cluster))
		b.says(t, alloc, "serving on")
		b.StopAgent()
		must.NoError(t, answers(alloc)) // nothing of Nomad's runs
		must.NoError(t, b.StartAgent(ctx(t)))
		must.NoError(t, answers(alloc))
		b.checked(t, alloc, "success")
		until(t, func() error { _, _, err := b.Exec(ctx(t), alloc, "task", "/bin/hello", "id"); return err })
		out, err := b.Output(alloc, "task")
		must.NoError(t, err)
		must.Eq(t, 1, strings.Count(out, "serving on"))
		must.Eq(t, 0, b.running(t, alloc.JobID).TaskStates["task"].Restarts)
	}},
}

// drain begins to drain the client's node.
func (b *bed) drain(t *testing.T, spec *api.DrainSpec) (node string) {
	t.Helper()
	node = b.node(t).ID
	_, err := b.Nodes().UpdateDrain(node, spec, false, nil)
	must.NoError(t, err)
	return node
}

// drained waits until the node's drain is complete.
func (b *bed) drained(t *testing.T, node string) {
	t.Helper()
	until(t, func() error {
		n, _, err := b.Nodes().Info(node, nil)
		if err == nil && (n.DrainStrategy != nil || n.LastDrain == nil || n.LastDrain.Status != api.DrainStatusComplete) {
			err = fmt.Errorf("the last drain is %+v", n.LastDrain)
		}
		return err
	})
}

// endDrain makes the node eligible again.
func (b *bed) endDrain(t *testing.T, node string) {
	t.Helper()
	_, err := b.Nodes().UpdateDrain(node, nil, true, nil)
	must.NoError(t, err)
}

// outage kills the client's agent until the server misses it. What becomes of allocations
// depends on their group's disconnect block. The tasks run all the time.
func outage(t *testing.T, b *bed) {
	waits := b.runs(t, service("disconnect-waits", `
    disconnect {
      lost_after = "10m"
      replace    = false
    }`+helloTask("main", `"serve"`, "", "")))
	argv := []string{"/bin/hello", "sleep", "6h7m"}
	lost := b.runs(t, service("disconnect-lost", helloTask("main", `"sleep", "6h7m"`, "", "")))
	runs(t, true, argv...)
	pid := pidOf(t, argv...)
	ends := b.runs(t, job{name: "disconnect-ends", config: hello(`"sleep", "5s"`), group: `
		disconnect {
			lost_after = "10m"
			replace    = false
		}`}.hcl(b.Cluster))
	b.KillAgent()
	until(t, func() error {
		if got := b.node(t).Status; got != api.NodeStatusDisconnected && got != api.NodeStatusDown {
			return fmt.Errorf("the node is %s", got)
		}
		return nil
	})
	b.try(t, behaviour{"an allocation with a disconnect block is unknown while its client is away", func(t *testing.T, b *bed) {
		b.reached(t, waits, api.AllocClientStatusUnknown)
	}})
	b.try(t, behaviour{"an allocation without a disconnect block is lost with its client", func(t *testing.T, b *bed) {
		b.reached(t, lost, api.AllocClientStatusLost)
	}})
	must.NoError(t, b.StartAgent(ctx(t)))
	b.try(t, behaviour{"an allocation that was unknown reconnects, with the task that it had", func(t *testing.T, b *bed) {
		now := b.reached(t, waits, api.AllocClientStatusRunning)
		must.Eq(t, 0, now.TaskStates["main"].Restarts)
		until(t, func() error { _, _, err := b.Exec(ctx(t), now, "main", "/bin/hello", "id"); return err })
		must.StrContains(t, cluster.Story(now), "Reconnected")
	}})
	b.try(t, behaviour{"an allocation that was lost is stopped on its client, and replaced", func(t *testing.T, b *bed) {
		b.replaced(t, lost.JobID, lost)
		until(t, func() error {
			if found := pidsOf(t, argv); len(found) != 1 || found[0] == pid {
				return fmt.Errorf("process %d was the first, and there are %d", pid, found)
			}
			return nil
		})
	}})
	b.try(t, behaviour{"a batch task that ended while its client was away is complete, with its exit code", func(t *testing.T, b *bed) {
		now := b.reached(t, ends, api.AllocClientStatusComplete)
		must.Eq(t, 0, terminated(t, now).ExitCode)
	}})
}
