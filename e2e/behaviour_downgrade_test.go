//go:build e2e

package e2e

import (
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// An upgrade can be taken back: the plugin of oldCommit reattaches to tasks that this one
// started, and destroys their pots.
func TestDowngrade(t *testing.T) {
	dir := newPlugins(t)
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
	serve := start(job{name: "serve", kind: "service", config: hello(`"serve", ":8080"`), group: webPort})
	_, err := c.Says(ctx(t), signals, "task", "ready")
	must.NoError(t, err)
	until(t, func() error { return answers(serve) })
	pid := pidOf(t, "/bin/hello", "signals")

	c.StopAgent()
	noPlugin(t, c)
	dir.install(t, oldPlugins(t))
	must.NoError(t, c.StartAgent(ctx(t)))

	t.Run("signals, logs and exec reach a task", func(t *testing.T) { goesOn(t, c, signals, pid, 1) })
	t.Run("published ports lead to a task", func(t *testing.T) { until(t, func() error { return answers(serve) }) })
	t.Run("a task stops, and another can be started", func(t *testing.T) {
		must.NoError(t, c.Purge(ctx(t), "signals"))
		start(job{name: "new", kind: "service", config: hello(`"signals"`)})
	})
}
