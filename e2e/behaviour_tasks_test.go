//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// taskBehaviours are hooks, leaders, restarts, environment and users.
var taskBehaviours = []behaviour{
	{"a prestart task ends before the main task starts", func(t *testing.T, b *bed) {
		alloc := b.ends(t, batch("prestart",
			helloTask("before", `"write", "/alloc/data/before", "done"`, "", `lifecycle { hook = "prestart" }`)+
				helloTask("main", `"cat", "/alloc/data/before"`, "", "")), api.AllocClientStatusComplete)
		_, err := b.Says(ctx(t), alloc, "main", "done\n")
		must.NoError(t, err)
		must.False(t, alloc.TaskStates["before"].FinishedAt.After(alloc.TaskStates["main"].StartedAt))
	}},
	{"the main task does not start if a prestart task fails", func(t *testing.T, b *bed) {
		alloc := b.ends(t, batch("prestart-fails",
			helloTask("before", `"exit", "1"`, "", `lifecycle { hook = "prestart" }`)+
				helloTask("main", `"exit", "0"`, "", "")), api.AllocClientStatusFailed)
		must.True(t, alloc.TaskStates["main"].StartedAt.IsZero())
	}},
	{"a prestart sidecar runs beside the main task, and is stopped after it", func(t *testing.T, b *bed) {
		alloc := b.ends(t, batch("sidecar-ends",
			helloTask("side", `"serve", ":9090"`, "", `
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }`)+helloTask("main", `"exit", "0"`, "", "")), api.AllocClientStatusComplete)
		side, main := alloc.TaskStates["side"], alloc.TaskStates["main"]
		must.False(t, side.StartedAt.After(main.StartedAt))
		must.False(t, side.FinishedAt.Before(main.FinishedAt))
	}},
	{"a poststart task starts when the main task runs", func(t *testing.T, b *bed) {
		alloc := b.runs(t, service("poststart",
			helloTask("main", `"serve", ":8080"`, "", "")+
				helloTask("after", `"write", "/alloc/data/after", "done"`, "", `lifecycle { hook = "poststart" }`)))
		b.file(t, alloc, "alloc/data/after", "done\n")
		now := b.allocation(t, alloc.ID, func(now *api.Allocation) error {
			if state := now.TaskStates["after"]; state.State != "dead" || state.Failed {
				return fmt.Errorf("after is %s", state.State)
			}
			return nil
		})
		must.False(t, now.TaskStates["after"].StartedAt.Before(now.TaskStates["main"].StartedAt))
		must.Eq(t, "running", now.TaskStates["main"].State)
	}},
	{"a poststart sidecar runs as long as the main task", func(t *testing.T, b *bed) {
		alloc := b.ends(t, batch("poststart-sidecar",
			helloTask("main", `"sleep", "2s"`, "", "")+helloTask("side", `"serve", ":9090"`, "", `
      lifecycle {
        hook    = "poststart"
        sidecar = true
      }`)), api.AllocClientStatusComplete)
		side, main := alloc.TaskStates["side"], alloc.TaskStates["main"]
		must.False(t, side.StartedAt.Before(main.StartedAt))
		must.False(t, side.FinishedAt.Before(main.FinishedAt))
	}},
	{"a poststop task runs after the main task", func(t *testing.T, b *bed) {
		alloc := b.ends(t, batch("poststop",
			helloTask("main", `"write", "/alloc/data/main", "done"`, "", "")+
				helloTask("after", `"cat", "/alloc/data/main"`, "", `lifecycle { hook = "poststop" }`)), api.AllocClientStatusComplete)
		_, err := b.Says(ctx(t), alloc, "after", "done\n")
		must.NoError(t, err)
	}},
	{"a leader that ends stops the other tasks", func(t *testing.T, b *bed) {
		alloc := b.ends(t, batch("leader",
			helloTask("lead", `"exit", "0"`, "", "leader = true")+
				helloTask("follow", `"serve", ":8080"`, "", "")), api.AllocClientStatusComplete)
		must.StrContains(t, cluster.Story(alloc), "Leader Task Dead")
	}},
	{"a task that fails is restarted as its policy says, and then the allocation fails", func(t *testing.T, b *bed) {
		text := job{name: "restarts", config: hello(`"exit", "5"`), task: `
			restart {
				attempts = 2
				delay    = "100ms"
				interval = "10m"
				mode     = "fail"
			}`}.hcl(b.Cluster)
		alloc := b.ends(t, text, api.AllocClientStatusFailed)
		must.Eq(t, 2, alloc.TaskStates["task"].Restarts)
		must.Eq(t, 5, terminated(t, alloc).ExitCode)
	}},
	{"a task of a service that ends without an error is restarted", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "service-restarts", kind: "service", config: hello(`"sleep", "100ms"`), task: `
			restart {
				attempts = 50
				delay    = "100ms"
				interval = "10m"
				mode     = "fail"
			}`}.hcl(b.Cluster))
		b.allocation(t, alloc.ID, func(now *api.Allocation) error {
			if n := now.TaskStates["task"].Restarts; n < 2 {
				return fmt.Errorf("%d restarts", n)
			}
			return nil
		})
	}},
	{"an allocation that fails is placed again by reschedule", long(func(t *testing.T, b *bed) {
		id := b.register(t, `
job "rescheduled" {
  type = "batch"
  group "group" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts       = 1
      interval       = "1h"
      delay          = "5s"
      delay_function = "constant"
      unlimited      = false
    }`+helloTask("main", `"exit", "1"`, "", "")+`
  }
}`)
		until(t, func() error {
			stubs, _, err := b.Jobs().Allocations(id, true, nil)
			if err != nil {
				return err
			}
			for _, s := range stubs {
				if s.RescheduleTracker != nil && len(s.RescheduleTracker.Events) == 1 && s.ClientStatus == api.AllocClientStatusFailed {
					return nil
				}
			}
			return fmt.Errorf("no second allocation has failed among %d", len(stubs))
		})
	})},
	{"a batch task that a signal ends has failed with that signal", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "by-a-signal", config: hello(`"kill", "15"`)}.hcl(b.Cluster), api.AllocClientStatusFailed)
		must.Eq(t, []int{143, 15}, []int{terminated(t, alloc).ExitCode, terminated(t, alloc).Signal})
	}},
	{"a task has Nomad's environment, with its directories in the pot", func(t *testing.T, b *bed) {
		out := "\n" + b.prints(t, job{name: "environment", config: hello(`"env"`), task: `
			env {
				PLAIN = "a b"
				NODE  = "${node.unique.name} in ${meta.rack} on ${attr.kernel.name}"
				INDEX = "${NOMAD_ALLOC_INDEX}"
			}
			meta {
				owner = "tests"
			}`})
		for _, line := range []string{
			"NOMAD_ALLOC_DIR=/alloc", "NOMAD_TASK_DIR=/local", "NOMAD_SECRETS_DIR=/secrets", "NOMAD_JOB_NAME=environment",
			"NOMAD_TASK_NAME=task", "NOMAD_META_owner=tests", "PLAIN=a b", "NODE=client in r1 on " + b.node(t).Attributes["kernel.name"],
			"INDEX=0", "NOMAD_MEMORY_LIMIT=32",
		} {
			must.StrContains(t, out, "\n"+line+"\n")
		}
	}},
	{"a user that the pot does not know is refused by name", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "no-user", config: hello(`"id"`), task: `user = "nobody-there"`}.hcl(b.Cluster), api.AllocClientStatusFailed)
		b.tells(t, alloc, "nobody-there")
	}},
	{"a task has a workload identity in its environment and in a file", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "identity", kind: "service", config: hello(`"serve"`), task: `
			identity {
				env  = true
				file = true
			}`}.hcl(b.Cluster))
		token := b.execs(t, alloc, "task", "cat", "/secrets/nomad_token")
		must.StrHasPrefix(t, "eyJ", token)
		must.StrContains(t, b.execs(t, alloc, "task", "env"), "NOMAD_TOKEN="+token+"\n")
	}},
	{"an action of a job runs its command in the task", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "action", kind: "service", config: hello(`"serve"`), task: `
			action "greet" {
				command = "/bin/hello"
				args    = ["args", "good morning"]
			}`}.hcl(b.Cluster))
		var out bytes.Buffer
		code, err := b.Jobs().ActionExec(ctx(t), alloc, "action", "task", false, nil, "greet", strings.NewReader(""), &out, &out, nil, nil)
		must.NoError(t, err)
		must.Eq(t, 0, code)
		must.StrContains(t, out.String(), `"good morning"`)
	}},
}

// batch is a batch job with those tasks, each of which is run once.
func batch(name, tasks string) string {
	return `
job "` + name + `" {
  type = "batch"
  group "group" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }` + tasks + `
  }
}`
}

// service is a job with those tasks in one group, and no reason to restart them.
func service(name, tasks string) string {
	return `
job "` + name + `" {
  group "group" {` + tasks + `
  }
}`
}
