//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// allocBehaviours are what the API does to an allocation that runs: logs, signals,
// restarts and stops.
var allocBehaviours = []behaviour{
	{"stdout and stderr are two logs", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "two-logs", config: hello(`"neither", "nor"`)}.hcl(b.Cluster), api.AllocClientStatusFailed)
		must.Eq(t, 64, terminated(t, alloc).ExitCode)
		b.file(t, alloc, "alloc/logs/task.stderr.0", "hello: no such thing: neither\n")
		b.file(t, alloc, "alloc/logs/task.stdout.0", "")
	}},
	{"a log is followed while the task writes it", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "follow", kind: "service", config: hello(`"signals"`)}.hcl(b.Cluster))
		cancel := make(chan struct{})
		defer close(cancel)
		frames, errs := b.AllocFS().Logs(alloc, true, "task", api.FSLogNameStdout, api.OriginStart, 0, cancel, nil)
		var log strings.Builder
		follow := func(text string) {
			t.Helper()
			for late := time.After(time.Minute); !strings.Contains(log.String(), text); {
				select {
				case f, ok := <-frames:
					must.True(t, ok, must.Sprint("the stream has ended"))
					log.Write(f.Data)
				case err := <-errs:
					must.NoError(t, err)
				case <-late:
					t.Fatalf("no %q in %q", text, log.String())
				}
			}
		}
		follow("ready\n")
		must.NoError(t, b.Allocations().Signal(alloc, nil, "task", "SIGHUP"))
		follow("got hangup\n")
	}},
	{"logs are rotated, and no more files are kept than the job says", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "rotation", config: hello(`"flood", "400000"`), task: `
			logs {
				max_files     = 2
				max_file_size = 1
			}`}.hcl(b.Cluster), api.AllocClientStatusComplete)
		until(t, func() error { // old files are removed some time after
			list, _, err := b.AllocFS().List(alloc, "alloc/logs", nil)
			if err != nil {
				return err
			}
			var logs []string
			for _, f := range list {
				if strings.HasPrefix(f.Name, "task.stdout.") {
					logs = append(logs, fmt.Sprintf("%s %t", f.Name, f.Size <= 1<<20))
				}
			}
			slices.Sort(logs)
			if len(logs) != 2 || logs[0] == "task.stdout.0 true" || !strings.HasSuffix(logs[0], " true") {
				return fmt.Errorf("logs: %q", logs)
			}
			return nil
		})
		b.says(t, alloc, "line 399999\n")
	}},
	{"a signal reaches the task, and an unknown one is refused", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "signals", kind: "service", config: hello(`"signals"`)}.hcl(b.Cluster))
		b.says(t, alloc, "ready\n")
		for signal, said := range map[string]string{"SIGUSR1": "got user defined signal 1\n", "SIGINT": "got interrupt\n", "SIGWINCH": "got window size changes\n"} {
			if signal == "SIGWINCH" {
				said = "got window"
			}
			must.NoError(t, b.Allocations().Signal(alloc, nil, "task", signal))
			b.says(t, alloc, said)
		}
		must.ErrorContains(t, b.Allocations().Signal(alloc, nil, "task", "SIGNOTHING"), "SIGNOTHING")
	}},
	{"a restart of one task leaves the others as they are", func(t *testing.T, b *bed) {
		alloc := b.runs(t, service("restart-task", helloTask("one", `"serve"`, "", "")+helloTask("two", `"serve"`, "", "")))
		b.allRun(t, alloc)
		must.NoError(t, b.Allocations().Restart(alloc, "one", nil))
		b.restarted(t, alloc, map[string]uint64{"one": 1, "two": 0})
	}},
	{"a restart of an allocation restarts its tasks that run", func(t *testing.T, b *bed) {
		alloc := b.runs(t, service("restart-alloc", helloTask("one", `"serve"`, "", "")+helloTask("two", `"serve"`, "", "")+
			helloTask("before", `"exit", "0"`, "", `lifecycle { hook = "prestart" }`)))
		b.restartable(t, alloc, "one", "two")
		must.NoError(t, b.Allocations().Restart(alloc, "", nil))
		b.restarted(t, alloc, map[string]uint64{"one": 1, "two": 1, "before": 0})
	}},
	{"a restart of all tasks runs prestart tasks again", func(t *testing.T, b *bed) {
		alloc := b.runs(t, service("restart-all", helloTask("main", `"serve"`, "", "")+
			helloTask("before", `"exit", "0"`, "", `lifecycle { hook = "prestart" }`)))
		b.restartable(t, alloc, "main")
		must.NoError(t, b.Allocations().RestartAllTasks(alloc, nil))
		b.restarted(t, alloc, map[string]uint64{"main": 1, "before": 1})
	}},
	{"an allocation that is stopped is replaced by another", func(t *testing.T, b *bed) {
		old := b.runs(t, job{name: "alloc-stop", kind: "service", config: hello(`"serve", ":8080"`), group: webPort}.hcl(b.Cluster))
		_, err := b.Allocations().Stop(old, nil)
		must.NoError(t, err)
		now := b.replaced(t, old.JobID, old)
		until(t, func() error { return answers(now) })
		b.reached(t, old, api.AllocClientStatusComplete)
	}},
	{"a task that ignores its kill_signal is killed after kill_timeout", func(t *testing.T, b *bed) {
		text := job{name: "kill-timeout", kind: "service", config: hello(`"signals"`), task: `kill_signal = "SIGTERM"`}.hcl(b.Cluster)
		alloc := b.runs(t, strings.Replace(text, `kill_timeout = "2s"`, `kill_timeout = "1s"`, 1))
		b.says(t, alloc, "ready\n")
		must.NoError(t, b.Purge(ctx(t), alloc.JobID))
		b.says(t, alloc, "got terminated\n")
		now := b.reached(t, alloc, api.AllocClientStatusComplete)
		must.Eq(t, 9, terminated(t, now).Signal)
		var killing, ended int64
		for _, e := range now.TaskStates["task"].Events {
			switch e.Type {
			case api.TaskKilling:
				killing = e.Time
			case api.TaskTerminated:
				ended = e.Time
			}
		}
		must.Between(t, time.Second, time.Duration(ended-killing), time.Minute)
	}},
	{"shutdown_delay passes between the end of a service and the task's", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "shutdown-delay", kind: "service", config: hello(`"serve", ":8080"`), group: webPort, task: `
			shutdown_delay = "2s"
			service {
				provider = "nomad"
				name     = "shutdown-delay"
				port     = "http"
			}`}.hcl(b.Cluster))
		b.service(t, alloc.JobID, func(*api.ServiceRegistration) error { return nil })
		_, _, err := b.Jobs().Deregister(alloc.JobID, false, nil)
		must.NoError(t, err)
		until(t, func() error {
			found, _, err := b.Services().Get(alloc.JobID, nil)
			if err == nil && len(found) > 0 {
				err = fmt.Errorf("%d services", len(found))
			}
			return err
		})
		must.NoError(t, answers(alloc)) // until the delay has passed
		now := b.reached(t, alloc, api.AllocClientStatusComplete)
		must.StrContains(t, cluster.Story(now), "Waiting for shutdown_delay of 2s before killing the task.")
	}},
	{"an allocation that has ended is forgotten by garbage collection", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "alloc-gc", config: hello(`"exit", "0"`)}.hcl(b.Cluster), api.AllocClientStatusComplete)
		b.file(t, alloc, "alloc/logs/task.stdout.0", "exiting 0\n")
		// The client's answer is empty, which package api takes for an error.
		if err := b.Allocations().GC(alloc, nil); !errors.Is(err, io.EOF) {
			must.NoError(t, err)
		}
		until(t, func() error {
			list, _, err := b.AllocFS().List(alloc, "alloc/logs", nil)
			if err == nil {
				return fmt.Errorf("its directory has %d logs", len(list))
			}
			return nil
		})
	}},
	{"an allocation's use of memory and CPU is measured", func(t *testing.T, b *bed) {
		needLimits(t, b)
		text := job{name: "measured", kind: "service", config: hello(`"spin", "1h"`)}.hcl(b.Cluster)
		alloc := b.runs(t, text)
		until(t, func() error {
			use, err := b.Allocations().Stats(alloc, nil)
			if err != nil {
				return err
			}
			if task := use.Tasks["task"]; task == nil || task.ResourceUsage.CpuStats.Percent <= 0 || task.ResourceUsage.MemoryStats.RSS == 0 {
				return fmt.Errorf("it uses %+v", use.ResourceUsage)
			}
			return nil
		})
	}},
}

// says waits until the one task of an allocation has written text to stdout.
func (b *bed) says(t *testing.T, alloc *api.Allocation, text string) {
	t.Helper()
	_, err := b.Says(ctx(t), alloc, "task", text)
	must.NoError(t, err)
}

// reached waits until that allocation has a status.
func (b *bed) reached(t *testing.T, alloc *api.Allocation, status string) *api.Allocation {
	t.Helper()
	return b.allocation(t, alloc.ID, func(now *api.Allocation) error {
		if now.ClientStatus != status {
			return fmt.Errorf("it is %s: %s", now.ClientStatus, cluster.Story(now))
		}
		return nil
	})
}

// restartable waits until those tasks run.
func (b *bed) restartable(t *testing.T, alloc *api.Allocation, tasks ...string) {
	t.Helper()
	b.allocation(t, alloc.ID, func(now *api.Allocation) error {
		for _, name := range tasks {
			if state := now.TaskStates[name]; state == nil || state.State != "running" {
				return fmt.Errorf("task %s does not run: %s", name, cluster.Story(now))
			}
		}
		return nil
	})
}

// restarted waits until tasks have been restarted that often, and those that were run.
func (b *bed) restarted(t *testing.T, alloc *api.Allocation, want map[string]uint64) {
	t.Helper()
	b.allocation(t, alloc.ID, func(now *api.Allocation) error {
		for name, n := range want {
			state := now.TaskStates[name]
			if state.Restarts != n || n > 0 && name != "before" && state.State != "running" {
				return fmt.Errorf("task %s is %s after %d restarts: %s", name, state.State, state.Restarts, cluster.Story(now))
			}
		}
		return nil
	})
}
