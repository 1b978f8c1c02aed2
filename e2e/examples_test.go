//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

const exampleJobs = "../example-jobs/"

// An example is what a job of example-jobs does when it is run.
type example func(t *testing.T, c *cluster.Cluster, id string)

// examples has a test for each job file. A job for FreeBSD alone is not placed on Linux.
var examples = map[string]example{
	"hello": serves("http"),
	"batch": func(t *testing.T, c *cluster.Cluster, id string) {
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.StrContains(t, cluster.Story(alloc), "Exit Code: 3")
	},
	"periodic": func(t *testing.T, c *cluster.Cluster, id string) {
		_, _, err := c.Jobs().PeriodicForce(id, nil)
		must.NoError(t, err)
		var child string
		until(t, func() error {
			jobs, _, err := c.Jobs().PrefixList(id + "/periodic-")
			if err == nil && len(jobs) == 0 {
				err = fmt.Errorf("no job of %s has begun", id)
			}
			if err == nil {
				child = jobs[0].ID
			}
			return err
		})
		completes("greet", `"five minutes have passed"`)(t, c, child)
	},
	"template": completes("read", "hello from a file"),
	"volume": func(t *testing.T, c *cluster.Cluster, id string) {
		completes("", "")(t, c, id)
		data, err := os.ReadFile(filepath.Join(filepath.Dir(c.StateDir()), "example/written"))
		must.NoError(t, err)
		must.StrContains(t, string(data), "by the job volume")
	},
	"mount":       completes("read", "a greeting"),
	"signed":      completes("", ""),
	"credentials": completes("", ""),
	"private-bridge": func(t *testing.T, c *cluster.Cluster, id string) {
		until(t, func() error {
			for _, alloc := range running(t, c, id) {
				if alloc.TaskGroup != "web" {
					continue
				}
				_, db, err := c.Exec(ctx(t), alloc, "web", "/bin/hello", "cat", "/local/db")
				if err == nil && !strings.HasSuffix(strings.TrimSpace(db), ":8080") {
					err = fmt.Errorf("the database is at %q", db)
				}
				return err
			}
			return fmt.Errorf("group web does not run")
		})
	},
	"old": func(t *testing.T, c *cluster.Cluster, id string) {
		serves("http")(t, c, id)
		must.StrContains(t, cluster.Story(running(t, c, id)[0]), "Read as a shell would")
	},
	"limits": serves(""),
	"sidecar": func(t *testing.T, c *cluster.Cluster, id string) {
		serves("http")(t, c, id)
		serves("metrics")(t, c, id)
	},
	"proxy": func(t *testing.T, c *cluster.Cluster, id string) {
		says("http", "hello from ")(t, c, id)
	},
	"shipper": func(t *testing.T, c *cluster.Cluster, id string) {
		serves("http")(t, c, id)
		_, err := c.Says(ctx(t), running(t, c, id)[0], "shipper", "serving on ")
		must.NoError(t, err)
	},
	"group": func(t *testing.T, c *cluster.Cluster, id string) {
		serves("http")(t, c, id)
		for _, task := range []string{"web", "backend", "cache"} {
			restart(t, c, running(t, c, id)[0], task, task)
			serves("http")(t, c, id)
		}
	},
	"canary": func(t *testing.T, c *cluster.Cluster, id string) {
		deployed(t, c, id, 0)
		_, err := c.Run(exampleJobs+"canary.nomad.hcl", "version=2")
		must.NoError(t, err)
		deployed(t, c, id, 1)
		for _, alloc := range running(t, c, id) {
			_, env, err := c.Exec(ctx(t), alloc, "web", "/bin/hello", "env")
			must.NoError(t, err)
			must.StrContains(t, env, "VERSION=2")
		}
	},
	"alias": onFreeBSD(placed),
	"rc":    onFreeBSD(placed),
}

// Each job of example-jobs does what its first lines say.
func TestExampleJobs(t *testing.T) {
	c := newClusterWith(t, cluster.Config{Examples: true}, sidecarDataset)
	files, err := filepath.Glob(exampleJobs + "*.nomad.hcl")
	must.NoError(t, err)
	must.Len(t, len(examples), files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".nomad.hcl")
		t.Run(name, func(t *testing.T) {
			check := examples[name]
			must.NotNil(t, check, must.Sprint("no test of this job"))
			command, err := c.Command(file)
			must.NoError(t, err)
			must.StrContains(t, command, " job run -address="+c.HTTP+" -var image="+c.Images)
			id, err := c.Run(file)
			must.NoError(t, err)
			must.Eq(t, name, id)
			check(t, c, id)
			must.NoError(t, c.Purge(ctx(t), id))
		})
	}
}

// completes waits for the end of a job whose task has written that text.
func completes(task, text string) example {
	return func(t *testing.T, c *cluster.Cluster, id string) {
		t.Helper()
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusComplete, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.Eq(t, api.AllocClientStatusComplete, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
		if task != "" {
			_, err = c.Says(ctx(t), alloc, task, text)
			must.NoError(t, err)
		}
	}
}

// serves waits until a job answers at its port with that label, if there is one.
func serves(label string) example { return says(label, "") }

// says waits until a job answers at its port with that label, if there is one, with that
// text.
func says(label, text string) example {
	return func(t *testing.T, c *cluster.Cluster, id string) {
		t.Helper()
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
		if label == "" {
			return
		}
		until(t, func() error {
			at, err := portOf(alloc, label)
			if err != nil {
				return err
			}
			said, err := get("http://" + at)
			if err == nil && !strings.Contains(said, text) {
				err = fmt.Errorf("port %s says %q, without %q", label, said, text)
			}
			return err
		})
	}
}

// get returns what a server answers, over a connection of its own.
func get(url string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// portOf returns the host's address of a port, of the group or of a task's resources.
func portOf(alloc *api.Allocation, label string) (string, error) {
	for _, port := range alloc.AllocatedResources.Shared.Ports {
		if port.Label == label {
			return net.JoinHostPort(port.HostIP, fmt.Sprint(port.Value)), nil
		}
	}
	for _, task := range alloc.AllocatedResources.Tasks {
		for _, n := range task.Networks {
			for _, port := range slices.Concat(n.DynamicPorts, n.ReservedPorts) {
				if port.Label == label {
					return net.JoinHostPort(n.IP, fmt.Sprint(port.Value)), nil
				}
			}
		}
	}
	return "", fmt.Errorf("the allocation has no port %s", label)
}

// running returns the job's allocations that run.
func running(t *testing.T, c *cluster.Cluster, id string) (all []*api.Allocation) {
	t.Helper()
	stubs, _, err := c.Jobs().Allocations(id, true, nil)
	must.NoError(t, err)
	for _, s := range stubs {
		if s.ClientStatus == api.AllocClientStatusRunning && s.DesiredStatus == api.AllocDesiredStatusRun {
			alloc, _, err := c.Allocations().Info(s.ID, nil)
			must.NoError(t, err)
			all = append(all, alloc)
		}
	}
	return all
}

// deployed waits until the deployment of that version of a job is successful.
func deployed(t *testing.T, c *cluster.Cluster, id string, version uint64) {
	t.Helper()
	until(t, func() error {
		d, _, err := c.Jobs().LatestDeployment(id, nil)
		switch {
		case err != nil:
			return err
		case d == nil || d.JobVersion != version || d.Status != api.DeploymentStatusSuccessful:
			return fmt.Errorf("version %d is not deployed: %+v", version, d)
		}
		return nil
	})
}

// onFreeBSD is check on FreeBSD. Elsewhere the job must wait for a client with FreeBSD.
func onFreeBSD(check example) example {
	if runtime.GOOS == "freebsd" {
		return check
	}
	return func(t *testing.T, c *cluster.Cluster, id string) {
		until(t, func() error {
			evals, _, err := c.Jobs().Evaluations(id, nil)
			if err != nil {
				return err
			}
			for _, e := range evals {
				for _, failed := range e.FailedTGAllocs {
					if failed.ConstraintFiltered["${attr.driver.pot.host} = freebsd"] > 0 {
						return nil
					}
				}
			}
			return fmt.Errorf("the constraint of %s has not been evaluated", id)
		})
	}
}

// placed waits until a job has an allocation: what its image needs is not in the tests'
// image.
func placed(t *testing.T, c *cluster.Cluster, id string) {
	short, cancel := context.WithTimeout(ctx(t), time.Minute)
	defer cancel()
	_, err := c.Alloc(short, id, api.AllocClientStatusRunning, api.AllocClientStatusFailed, api.AllocClientStatusPending)
	must.NoError(t, err)
}
