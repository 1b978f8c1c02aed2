//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
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

// An agent starts the plugin for a block with another label, as for nomad-pot-driver, if
// the program has a link of that name. Without one the agent says what it skips.
func TestPlugin_label(t *testing.T) {
	for _, label := range []string{"pot", "nomad-pot-driver"} {
		t.Run(label, func(t *testing.T) {
			dir := newPlugins(t)
			must.NoError(t, os.Symlink("nomad-driver-pot", filepath.Join(string(dir), label)))
			c := startCluster(t, cluster.Config{Plugins: string(dir), Label: label})
			log, err := os.ReadFile(c.Log())
			must.NoError(t, err)
			must.StrContains(t, string(log), "plugin not referenced in the agent configuration file, loading skipped: plugin_dir="+string(dir)+" plugin=nomad-driver-pot")
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
