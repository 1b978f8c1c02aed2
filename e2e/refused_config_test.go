//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// An agent that starts with a configuration which the plugin refuses leaves no plugin
// process behind, however it ends.
func TestPlugin_refusedConfig(t *testing.T) {
	c := newCluster(t)
	c.StopAgent()
	c.Configure(`allow_hooks = ["start"]`)
	for _, tc := range []struct {
		name string
		end  func(t *testing.T)
	}{
		{"the agent ends by itself", func(t *testing.T) {
			must.ErrorContains(t, c.StartAgent(ctx(t)), "allow_hooks[0]: must be")
		}},
		{"the agent is terminated", func(t *testing.T) { endWithPlugin(t, c, syscall.SIGTERM) }},
		{"the agent is killed", func(t *testing.T) { endWithPlugin(t, c, syscall.SIGKILL) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.end(t)
			until(t, func() error {
				if left, err := c.Plugins(); err != nil || len(left) > 0 {
					return fmt.Errorf("%d plugins run without an agent: %v", len(left), err)
				}
				return nil
			})
		})
	}
}

// endWithPlugin starts the client's agent and sends it a signal as soon as there is a
// plugin. By then it may have ended.
func endWithPlugin(t *testing.T, c *cluster.Cluster, s syscall.Signal) {
	t.Helper()
	must.NoError(t, c.LaunchAgent())
	until(t, func() error {
		if found, err := c.Plugins(); !c.AgentEnded() && len(found) == 0 {
			return fmt.Errorf("no plugin: %v", err)
		}
		return nil
	})
	c.SignalAgent(s)
}
