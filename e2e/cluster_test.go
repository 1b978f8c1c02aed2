//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot/hosttest"
)

// network keeps these pots apart from those of others on this machine.
const network = "10.199.0.0/16"

// newCluster starts a cluster for a test. When the test is over its jobs are
// stopped, and nothing of them may be left.
func newCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	return newClusterOf(t, bin(t))
}

// newClusterWith is newCluster with more in its configuration.
func newClusterWith(t *testing.T, config cluster.Config, images ...string) *cluster.Cluster {
	t.Helper()
	config.Plugins = bin(t)
	return startCluster(t, config, images...)
}

// bin is the directory with all programs.
func bin(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("POT_BIN")
	must.NotEq(t, "", dir, must.Sprint("POT_BIN: run make e2e"))
	return dir
}

// newClusterOf is newCluster with the plugin that is in a directory of its own.
func newClusterOf(t *testing.T, plugins string, images ...string) *cluster.Cluster {
	t.Helper()
	return startCluster(t, cluster.Config{Plugins: plugins}, images...)
}

func startCluster(t *testing.T, config cluster.Config, images ...string) *cluster.Cluster {
	t.Helper()
	must.Eq(t, 0, os.Geteuid(), must.Sprint("run as root"))
	hosttest.Alone(t)
	dir := t.TempDir()
	before, err := machine.Look(dir)
	must.NoError(t, err)
	config.Dir, config.Nomad, config.Network = dir, filepath.Join(bin(t), "nomad"), network
	c, err := cluster.Start(ctx(t), config)
	t.Cleanup(func() { must.NoError(t, c.Stop()) })
	must.NoError(t, err)
	t.Cleanup(func() {
		ended, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		stopJobs(ended, t, c)
		must.NoError(t, c.Stop())
		mustBeAsBefore(t, c, before, images...)
		if t.Failed() {
			t.Log(c.Tail())
		}
	})
	return c
}

// ctx bounds what a test waits for.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return c
}

func stopJobs(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	jobs, _, err := c.Jobs().List(nil)
	must.NoError(t, err)
	for _, j := range jobs {
		must.NoError(t, c.Purge(ctx, j.ID))
	}
	must.NoError(t, c.Collect(ctx))
}

// mustBeAsBefore fails the test if the machine has of pots what it had not, but
// for the real image and those named.
func mustBeAsBefore(t *testing.T, c *cluster.Cluster, before machine.State, images ...string) {
	t.Helper()
	now, err := machine.Look(c.StateDir(), append(images, imagetest.HelloName+"_1_0")...)
	must.NoError(t, err)
	must.Eq(t, nil, now.Since(before))
}

// job is what a test varies of a job.
type job struct {
	name   string
	kind   string // batch if it is not set
	image  string // URL; the cluster's if it is not set
	pot    string // imagetest.HelloName if it is not set
	tag    string // "1.0" if it is not set
	config string // more lines of the task's config
	group  string // more lines of the group
	task   string // more lines of the task
}

// hcl is the job's file. Nothing in it is tried twice.
func (j job) hcl(c *cluster.Cluster) string {
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	return fmt.Sprintf(`
job %q {
  type = %q
  group "group" {
    %s
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "task" {
      driver       = "pot"
      kill_timeout = "2s"
      config {
        image = %q
        pot   = %q
        tag   = %q
        %s
      }
      %s
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}`, j.name, or(j.kind, "batch"), j.group, or(j.image, c.Images), or(j.pot, imagetest.HelloName), or(j.tag, "1.0"), j.config, j.task)
}

// hello is the configuration of a task that runs the image's program with args,
// an HCL list without its brackets.
func hello(args string) string {
	return fmt.Sprintf("command = \"/bin/hello\"\nargs = [%s]", args)
}

// sidecarDataset is the image of cluster.SidecarName, once it is imported.
const sidecarDataset = cluster.SidecarName + "_1_0"
