//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
)

// Whatever becomes of tasks while the plugin, the agent or both are dead, Nomad
// learns how it was, or that nobody knows; and nothing of them is left.
func TestRecovery(t *testing.T) {
	images := serveFate(t)
	next := nextVersion(t)
	for _, death := range []struct {
		name  string
		dies  func(*testing.T, *cluster.Cluster, plugins)
		lives func(*testing.T, *cluster.Cluster, plugins)
	}{
		{"the plugin is killed", func(t *testing.T, c *cluster.Cluster, dir plugins) {
			dir.hold(t)
			_, err := c.KillPlugin()
			must.NoError(t, err)
		}, func(t *testing.T, c *cluster.Cluster, dir plugins) {
			dir.release(t)
		}},
		{"the agent is killed", func(t *testing.T, c *cluster.Cluster, _ plugins) {
			c.KillAgent()
		}, startAgent},
		{"both are killed", func(t *testing.T, c *cluster.Cluster, _ plugins) {
			c.KillAgent()
			killPlugin(t, c)
		}, startAgent},
		{"the plugin is upgraded", func(t *testing.T, c *cluster.Cluster, dir plugins) {
			c.StopAgent()
			noPlugin(t, c)
			must.NoError(t, os.Rename(next, dir.plugin()))
		}, func(t *testing.T, c *cluster.Cluster, dir plugins) {
			startAgent(t, c, dir)
			must.Eq(t, nextVersionIs, pluginVersion(t, c))
		}},
	} {
		t.Run(death.name, func(t *testing.T) {
			dir := newPlugins(t)
			c := newClusterOf(t, string(dir), fateName+"_1_0")
			victims := map[string]*victim{}
			for _, f := range fates {
				victims[f.name] = runVictim(t, c, f.name, images)
			}
			for _, f := range fates {
				victims[f.name].find(t, c)
			}
			death.dies(t, c, dir)
			for _, f := range fates {
				f.befall(t, victims[f.name])
			}
			death.lives(t, c, dir)
			for _, f := range fates {
				t.Run(f.name, func(t *testing.T) { f.mustBe(t, c, victims[f.name]) })
			}
		})
	}
}

func startAgent(t *testing.T, c *cluster.Cluster, _ plugins) {
	t.Helper()
	must.NoError(t, c.StartAgent(ctx(t)))
}

// pluginVersion is the plugin's, as the node's attributes have it.
func pluginVersion(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	nodes, _, err := c.Nodes().List(nil)
	must.NoError(t, err)
	must.Len(t, 1, nodes)
	node, _, err := c.Nodes().Info(nodes[0].ID, nil)
	must.NoError(t, err)
	return node.Attributes["driver.pot.version"]
}

// hold keeps the next plugin from coming up until release: an agent that is alive
// starts one at once.
func (dir plugins) hold(t *testing.T) {
	t.Helper()
	held, real := filepath.Join(string(dir), "held"), dir.plugin()+".real"
	must.NoError(t, os.WriteFile(held, nil, 0o600))
	t.Cleanup(func() { os.Remove(held) })
	gate := fmt.Sprintf("#!/bin/sh\nwhile [ -e %s ]; do sleep 0.05; done\nexec %s\n", held, real)
	must.NoError(t, os.WriteFile(dir.plugin()+".gate", []byte(gate), 0o755))
	must.NoError(t, os.Link(dir.plugin(), real))
	must.NoError(t, os.Rename(dir.plugin()+".gate", dir.plugin()))
}

// release waits until the plugin runs that was held.
func (dir plugins) release(t *testing.T) {
	t.Helper()
	must.NoError(t, os.Remove(filepath.Join(string(dir), "held")))
	until(t, func() error {
		all, err := machine.Processes()
		for _, p := range all {
			if p.Path == dir.plugin()+".real" {
				return nil
			}
		}
		if err == nil {
			err = fmt.Errorf("no plugin among %d processes", len(all))
		}
		return err
	})
}

// nextVersionIs the version of the plugin that takes over.
const nextVersionIs = "99.0.0"

// nextVersion builds the plugin with another version and returns its path.
func nextVersion(t *testing.T) string {
	t.Helper()
	needSources(t)
	const file = "../version/version.go"
	source, err := os.ReadFile(file)
	must.NoError(t, err)
	line := regexp.MustCompile(`(?m)^const Number = ".*"$`)
	must.Len(t, 1, line.FindAll(source, -1), must.Sprint(file))
	source = line.ReplaceAll(source, fmt.Appendf(nil, "const Number = %q", nextVersionIs))
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(dir+"/version.go", source, 0o600))
	at, err := filepath.Abs(file)
	must.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{at: dir + "/version.go"}})
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(dir+"/overlay.json", overlay, 0o600))
	program := filepath.Join(dir, "nomad-driver-pot")
	goBuild(t, ".", "-buildvcs=false", "-ldflags", "-s -w", "-overlay", dir+"/overlay.json", "-o", program, "..")
	return program
}
