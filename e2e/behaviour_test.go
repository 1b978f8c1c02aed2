//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/imagetest"
)

// A behaviour is what a user of Nomad relies on, as a sentence, and the test of it.
type behaviour struct {
	name string
	test func(t *testing.T, b *bed)
}

// besideOthers are the behaviours that are tested at the same time.
var besideOthers = slices.Concat(configBehaviours, networkBehaviours, serviceBehaviours, taskBehaviours, fileBehaviours,
	jobBehaviours, updateBehaviours, allocBehaviours, execBehaviours)

// atOnce is how many behaviours are tested at once. Most of the time they wait for Nomad.
const atOnce = 8

// What Nomad's documentation promises of jobs, tasks and the API holds for pots. Each
// behaviour has jobs of its own in one cluster.
func TestBehaviours(t *testing.T) {
	b := newBed(t)
	next := make(chan behaviour)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for x := range next {
				b.try(t, x)
			}
		})
	}
	for _, x := range besideOthers {
		next <- x
	}
	close(next)
	all.Wait()
	for _, x := range nodeBehaviours {
		b.try(t, x)
	}
	t.Run("outage", func(t *testing.T) { long(outage)(t, b) })
	fmt.Printf("behaviours: %d of %d hold, %d skipped; %d more have tests of their own\n",
		b.held.Load(), b.ran.Load(), b.skipped.Load(), len(otherTests))
}

// try tests a behaviour, unless -run excludes it.
func (b *bed) try(t *testing.T, x behaviour) {
	ran, skipped := false, false
	ok := t.Run(x.name, func(t *testing.T) {
		ran = true
		t.Cleanup(func() { skipped = t.Skipped() })
		x.test(t, b)
	})
	switch {
	case !ran:
		return
	case skipped:
		b.skipped.Add(1)
	case ok:
		b.held.Add(1)
	}
	b.ran.Add(1)
}

// long is test, which waits for Nomad's own delays: it is skipped unless POT_E2E_LONG is set.
func long(test func(*testing.T, *bed)) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		if os.Getenv("POT_E2E_LONG") == "" {
			t.Skip("POT_E2E_LONG is not set")
		}
		test(t, b)
	}
}

// bed is the cluster that behaviours are tested in.
type bed struct {
	*cluster.Cluster
	images string // directory that Images serves
	data   string // directory of the client that jobs may mount

	ran, held, skipped atomic.Int32 // behaviours
}

// newBed starts the cluster. It loses a client sooner than one with Nomad's defaults.
func newBed(t *testing.T) *bed {
	t.Helper()
	kept := make([]string, 3) // datasets of images, which serveVersions names
	c := newClusterWith(t, cluster.Config{
		Examples: true,
		Server: `
  heartbeat_grace   = "3s"
  min_heartbeat_ttl = "6s"

  default_scheduler_config {
    memory_oversubscription_enabled = true

    preemption_config {
      service_scheduler_enabled = true
    }
  }`,
		Client: `
  meta {
    rack = "r1"
  }

  host_network "v4" {
    cidr = "127.0.0.1/32"
  }

  host_network "v6" {
    cidr = "::1/128"
  }`,
	}, kept...)
	dir := filepath.Dir(c.StateDir())
	b := &bed{Cluster: c, images: filepath.Join(dir, "images"), data: filepath.Join(dir, "example")}
	b.serveVersions(t, kept)
	return b
}

// serve has the image server serve a file.
func (b *bed) serve(t *testing.T, name string, data []byte) {
	t.Helper()
	name = filepath.Join(b.images, name)
	must.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must.NoError(t, os.WriteFile(name, data, 0o644))
}

// register registers a job, whose variables image and pot are the image of the tests. When
// the test ends the job is stopped.
func (b *bed) register(t *testing.T, text string) (id string) {
	t.Helper()
	text = withImage(b, text)
	id, err := b.RunHCL(text, "")
	must.NoError(t, err, must.Sprint(text))
	t.Cleanup(func() { // the end of the cluster waits for the end of its jobs
		_, _, err := b.Jobs().Deregister(id, false, nil)
		must.NoError(t, err)
	})
	return id
}

// withImage is a job's text with the variables image and pot.
func withImage(b *bed, text string) string {
	return text + fmt.Sprintf("\nvariable \"image\" {\n  default = %q\n}\nvariable \"pot\" {\n  default = %q\n}\n", b.Images, imagetest.HelloName)
}

// runs registers a job, and returns its allocation when that runs.
func (b *bed) runs(t *testing.T, text string) *api.Allocation {
	t.Helper()
	return b.running(t, b.register(t, text))
}

// running returns the newest allocation of a job when that runs.
func (b *bed) running(t *testing.T, id string) *api.Allocation {
	t.Helper()
	return b.reaches(t, id, api.AllocClientStatusRunning)
}

// ends registers a job, and returns its allocation when that has ended with that status.
func (b *bed) ends(t *testing.T, text, status string) *api.Allocation {
	t.Helper()
	return b.reaches(t, b.register(t, text), status)
}

// reaches waits until the newest allocation of a job has that status, or one that it does
// not leave.
func (b *bed) reaches(t *testing.T, id, status string) *api.Allocation {
	t.Helper()
	alloc, err := b.Alloc(ctx(t), id, status, api.AllocClientStatusFailed, api.AllocClientStatusComplete)
	must.NoError(t, err)
	must.Eq(t, status, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	return alloc
}

// prints registers a batch job of a task that ends, and returns the task's output.
func (b *bed) prints(t *testing.T, j job) string {
	t.Helper()
	alloc := b.ends(t, j.hcl(b.Cluster), api.AllocClientStatusComplete)
	var out string
	until(t, func() (err error) { // the collector may be behind
		if out, err = b.Output(alloc, "task"); err == nil && out == "" {
			err = fmt.Errorf("the task has printed nothing")
		}
		return err
	})
	return out
}

// execs runs the hello program in a task, and returns its output. It must succeed.
func (b *bed) execs(t *testing.T, alloc *api.Allocation, task string, args ...string) string {
	t.Helper()
	code, out, err := b.Exec(ctx(t), alloc, task, append([]string{"/bin/hello"}, args...)...)
	must.NoError(t, err)
	must.Eq(t, 0, code, must.Sprint(out))
	return out
}

// tells waits until the events of a task of the allocation contain that text.
func (b *bed) tells(t *testing.T, alloc *api.Allocation, text string) {
	t.Helper()
	b.allocation(t, alloc.ID, func(now *api.Allocation) error {
		if story := cluster.Story(now); !strings.Contains(story, text) {
			return fmt.Errorf("no event has %q: %s", text, story)
		}
		return nil
	})
}

// allocation waits until an allocation is as it should be, and returns it.
func (b *bed) allocation(t *testing.T, id string, ok func(*api.Allocation) error) (alloc *api.Allocation) {
	t.Helper()
	until(t, func() (err error) {
		if alloc, _, err = b.Allocations().Info(id, nil); err == nil {
			err = ok(alloc)
		}
		return err
	})
	return alloc
}

// file waits until the allocation's file, as in "alloc/data/x", has that text.
func (b *bed) file(t *testing.T, alloc *api.Allocation, name, text string) {
	t.Helper()
	until(t, func() error {
		got, err := b.cat(alloc, name)
		if err == nil && got != text {
			err = fmt.Errorf("%s has %q, not %q", name, got, text)
		}
		return err
	})
}

// node returns the client's node.
func (b *bed) node(t *testing.T) *api.Node {
	t.Helper()
	nodes, _, err := b.Nodes().List(nil)
	must.NoError(t, err)
	must.Len(t, 1, nodes)
	node, _, err := b.Nodes().Info(nodes[0].ID, nil)
	must.NoError(t, err)
	return node
}

// helloTask is a task of the hello program with those arguments, more lines of its config,
// and more lines of the task.
func helloTask(name, args, config, lines string) string {
	return fmt.Sprintf(`
    task %q {
      driver       = "pot"
      kill_timeout = "2s"
      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = [%s]
        %s
      }
      %s
      resources {
        cpu    = 20
        memory = 32
      }
    }`, name, args, config, lines)
}
