//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/imagetest"
)

// joinedModes are the networks that a service and its sidecar can share, with the task's
// config of each.
var joinedModes = map[string][2]string{
	"task":  {`ports = ["http"]`, `network_mode = "task:web"`},
	"group": {`network_mode = "group"`, `network_mode = "group"`},
}

// The commands of joinedJob.
var (
	webArgv  = []string{"/bin/hello", "serve", "127.0.0.1:9090"}
	sideArgv = []string{"/bin/sidecar", "proxy", ":8080", "127.0.0.1:9090"}
)

// lateImages are copies of the images of joinedJob on a server that holds its answers until
// an image is released.
type lateImages struct {
	*imagetest.Server
	held map[string]chan struct{}
}

func newLateImages(t *testing.T, c *cluster.Cluster, service, sidecar string) *lateImages {
	t.Helper()
	s := &lateImages{Server: imagetest.NewServer(t), held: map[string]chan struct{}{}}
	proxy, err := os.ReadFile(filepath.Join(filepath.Dir(c.StateDir()), "images", cluster.SidecarName+"_1.0.xz"))
	must.NoError(t, err)
	for name, xz := range map[string][]byte{service: imagetest.Hello(""), sidecar: proxy} {
		s.Add(name, "1.0", xz, imagetest.NoMeta)
		released := make(chan struct{})
		s.held[name] = released
		s.Fail(name+"_1.0.xz", func(w http.ResponseWriter, r *http.Request, file []byte) {
			<-released
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
		})
	}
	t.Cleanup(func() {
		for name := range s.held {
			s.release(name)
		}
	})
	return s
}

// lateDatasets returns the datasets of the images of TestJobs_joined_killed.
func lateDatasets() (all []string) {
	for i := range 2 {
		for j := range 3 {
			all = append(all, fmt.Sprintf("service-%d%d_1_0", i, j), fmt.Sprintf("proxy-%d%d_1_0", i, j))
		}
	}
	return all
}

// release has the server answer requests for an image. It may be called twice.
func (s *lateImages) release(name string) {
	select {
	case <-s.held[name]:
	default:
		close(s.held[name])
	}
}

// awaitRequest waits until an image is asked for.
func (s *lateImages) awaitRequest(t *testing.T, name string) {
	t.Helper()
	until(t, func() error {
		if s.Gets(name+"_1.0.xz") == 0 {
			return fmt.Errorf("image %s is not fetched yet", name)
		}
		return nil
	})
}

// pair is a job of joinedJob that runs.
type pair struct {
	id    string
	alloc string
}

// look returns the allocation as Nomad sees it. An agent may be being started.
func (p pair) look(t *testing.T, c *cluster.Cluster) *api.Allocation {
	t.Helper()
	var alloc *api.Allocation
	until(t, func() (err error) {
		alloc, _, err = c.Allocations().Info(p.alloc, nil)
		return err
	})
	return alloc
}

// awaitTasks waits until what Nomad says of each task of the pair is right.
func (p pair) awaitTasks(t *testing.T, c *cluster.Cluster, right func(name string, s *api.TaskState) bool) {
	t.Helper()
	until(t, func() error {
		alloc := p.look(t, c)
		for _, name := range []string{"web", "side"} {
			if s := alloc.TaskStates[name]; s == nil || !right(name, s) {
				return fmt.Errorf("task %s of %s is not as expected: %s", name, p.id, cluster.Story(alloc))
			}
		}
		return nil
	})
}

// works waits until the service answers through its sidecar, and each of the jobs has one
// process of each task on the machine.
func works(t *testing.T, c *cluster.Cluster, all []pair) {
	t.Helper()
	for _, p := range all {
		p.awaitTasks(t, c, func(_ string, s *api.TaskState) bool { return s.State == "running" })
		says("http", "hello from ")(t, c, p.id)
		driven(t, c, p.alloc)
	}
	for _, argv := range [][]string{webArgv, sideArgv} {
		until(t, func() error {
			if found := pidsOf(t, argv); len(found) != len(all) {
				return fmt.Errorf("%q runs in processes %d", argv, found)
			}
			return nil
		})
	}
}

// ends returns the ends of a task that Nomad was told of.
func ends(s *api.TaskState) (all []*api.TaskEvent) {
	for _, e := range s.Events {
		if e.Type == api.TaskTerminated {
			all = append(all, e)
		}
	}
	return all
}

// unended fails the test if Nomad was told of an end of any task.
func unended(t *testing.T, c *cluster.Cluster, all []pair) {
	t.Helper()
	for _, p := range all {
		alloc := p.look(t, c)
		for _, s := range alloc.TaskStates {
			must.SliceEmpty(t, ends(s), must.Sprint(cluster.Story(alloc)))
		}
	}
}

// stopping deregisters the jobs, whose tasks ignore the signal that ends them, and waits
// until Nomad stops the tasks.
func stopping(t *testing.T, c *cluster.Cluster, all []pair) {
	t.Helper()
	for _, p := range all {
		_, _, err := c.Jobs().Deregister(p.id, false, nil)
		must.NoError(t, err)
	}
	for _, p := range all {
		p.awaitTasks(t, c, func(_ string, s *api.TaskState) bool {
			for _, e := range s.Events {
				if e.Type == api.TaskKilling {
					return true
				}
			}
			return false
		})
	}
}

// stopped waits until nothing is left of the jobs, and fails the test if an end was
// reported as a success: all tasks were killed.
func stopped(t *testing.T, c *cluster.Cluster, all []pair) {
	t.Helper()
	for _, p := range all {
		p.awaitTasks(t, c, func(_ string, s *api.TaskState) bool { return s.State == "dead" })
		alloc := p.look(t, c)
		for _, s := range alloc.TaskStates {
			for _, e := range ends(s) {
				must.NotEq(t, 0, e.ExitCode, must.Sprint(cluster.Story(alloc)))
			}
		}
		until(t, func() error {
			left, err := filepath.Glob(filepath.Join(c.StateDir(), "*", "*"+p.alloc))
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("%q are left", left)
			}
			return err
		})
	}
	must.SliceEmpty(t, append(pidsOf(t, webArgv), pidsOf(t, sideArgv)...))
}

// runPairs runs a job for each of joinedModes, whose images come from that server.
func runPairs(t *testing.T, c *cluster.Cluster, name string, images func(job string) string) (all []pair) {
	t.Helper()
	for mode, config := range joinedModes {
		text := images(joinedJob(c, name+"-"+mode, config[0], config[1]))
		id, err := c.RunHCL(text, "")
		must.NoError(t, err)
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusPending, api.AllocClientStatusRunning)
		must.NoError(t, err)
		all = append(all, pair{id, alloc.ID})
	}
	return all
}

// Whatever is killed, in each phase of tasks with one network, what should run runs, no
// task ends that need not, and nothing is left.
func TestJobs_joined_killed(t *testing.T) {
	c := newClusterWith(t, cluster.Config{Sidecar: true, Driver: `
		gc {
			interval       = "1s"
			creation_grace = "5s"
		}`}, append(lateDatasets(), sidecarDataset)...)
	// A death that a start has seen before fails the task: Nomad starts a task once more after
	// its plugin's end, and not again.
	for i, death := range []struct {
		name string
		dies func(*testing.T)
	}{
		{"plugin", func(t *testing.T) {
			_, err := c.KillPlugin()
			must.NoError(t, err)
		}},
		{"agent", func(t *testing.T) {
			c.KillAgent()
			must.NoError(t, c.StartAgent(ctx(t)))
		}},
	} {
		for j, phase := range []string{"while the images are fetched", "while the second task starts", "while both run, and while they stop"} {
			t.Run("the "+death.name+" is killed "+phase, func(t *testing.T) {
				service, proxy := fmt.Sprintf("service-%d%d", i, j), fmt.Sprintf("proxy-%d%d", i, j)
				images := newLateImages(t, c, service, proxy)
				// Tasks ignore the signal: Nomad kills them when the timeout is over.
				all := runPairs(t, c, fmt.Sprint(death.name, j), strings.NewReplacer(
					c.Images, images.URL, `"`+imagetest.HelloName+`"`, `"`+service+`"`, `"`+cluster.SidecarName+`"`, `"`+proxy+`"`,
					`kill_timeout = "2s"`, "kill_timeout = \"5s\"\nkill_signal = \"SIGCONT\"").Replace)
				images.awaitRequest(t, service)
				images.awaitRequest(t, proxy)
				if j == 0 {
					death.dies(t)
				}
				images.release(service)
				if j == 1 {
					for _, p := range all {
						p.awaitTasks(t, c, func(name string, s *api.TaskState) bool { return s.State == "running" || name == "side" })
					}
					death.dies(t)
				}
				images.release(proxy)
				works(t, c, all)
				if j == 2 {
					death.dies(t)
					works(t, c, all)
				}
				unended(t, c, all)
				stopping(t, c, all)
				if j == 2 {
					death.dies(t)
				}
				stopped(t, c, all)
			})
		}
	}
	t.Run("supervisors are killed", func(t *testing.T) {
		all := runPairs(t, c, "supervisors", func(job string) string { return job })
		works(t, c, all)
		for _, p := range all {
			shared := strings.HasSuffix(p.id, "-group")
			for _, of := range []string{"side", "web"} {
				before := p.look(t, c)
				killSupervisorOf(t, c, p, of)
				p.awaitTasks(t, c, func(name string, s *api.TaskState) bool {
					anew := name == of || of == "web" && !shared
					return s.State == "running" && s.StartedAt.After(before.TaskStates[name].StartedAt) == anew
				})
				works(t, c, all)
				state := p.look(t, c).TaskStates[of]
				last := ends(state)[len(ends(state))-1]
				must.StrContains(t, last.DisplayMessage, "exit status of the command is unknown")
			}
			if shared {
				before := p.look(t, c)
				killSupervisorOf(t, c, p, "group")
				works(t, c, all)
				p.awaitTasks(t, c, func(name string, s *api.TaskState) bool {
					return s.StartedAt.Equal(before.TaskStates[name].StartedAt)
				})
			}
		}
		stopping(t, c, all)
		stopped(t, c, all)
	})
}

// killSupervisorOf kills the supervisor of a task's pot, or of the group's network.
func killSupervisorOf(t *testing.T, c *cluster.Cluster, p pair, name string) {
	t.Helper()
	pattern := filepath.Join(c.StateDir(), "pots", name+"_*"+p.alloc, "running.json")
	found, err := filepath.Glob(strings.ReplaceAll(pattern, "group_*", "group_"))
	must.NoError(t, err)
	must.Len(t, 1, found, must.Sprint(pattern))
	data, err := os.ReadFile(found[0])
	must.NoError(t, err)
	var running struct{ Supervisor int }
	must.NoError(t, json.Unmarshal(data, &running))
	must.NoError(t, syscall.Kill(running.Supervisor, syscall.SIGKILL))
}
