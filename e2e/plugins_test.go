//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// plugins is the plugin directory of one test, which can replace the programs in it.
type plugins string

func newPlugins(t *testing.T) plugins {
	t.Helper()
	dir := plugins(t.TempDir())
	dir.install(t, bin(t))
	return dir
}

// install replaces the programs by those in from, as a package manager does: processes
// keep what they run.
func (dir plugins) install(t *testing.T, from string) {
	t.Helper()
	for _, name := range []string{"nomad-driver-pot", "pot-supervisor"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		must.NoError(t, err)
		file := filepath.Join(string(dir), name)
		must.NoError(t, os.WriteFile(file+".new", data, 0o755))
		must.NoError(t, os.Rename(file+".new", file))
	}
}

func (dir plugins) plugin() string { return filepath.Join(string(dir), "nomad-driver-pot") }

// noPlugin waits until no plugin runs.
func noPlugin(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	until(t, func() error {
		if pid, err := c.Plugin(); err == nil {
			return fmt.Errorf("the plugin runs: process %d", pid)
		}
		return nil
	})
}

// killPlugin kills the plugin, unless it has gone with its agent.
func killPlugin(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	if _, err := c.KillPlugin(); err != nil {
		t.Log("the plugin went with its agent:", err)
	}
	noPlugin(t, c)
}

// goBuild runs go build in dir, without cgo.
func goBuild(t *testing.T, dir string, args ...string) {
	t.Helper()
	needSources(t)
	cmd := exec.Command("go", append([]string{"build", "-trimpath"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	said, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(said)))
}
