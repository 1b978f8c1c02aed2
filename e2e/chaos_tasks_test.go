//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shoenig/test/must"
)

func init() {
	faults = append(faults,
		fault{name: "supervisor killed", do: killSupervisor},
		fault{name: "supervisor paused", do: pauseSupervisor},
		fault{name: "supervisor of a network killed", do: killNetwork},
		fault{name: "command killed", do: killCommand},
		fault{name: "command killed while no agent runs", do: killCommandUnseen},
	)
}

// chaosVictim is a task on the host.
type chaosVictim struct {
	pot             string
	dir             string // of its record
	supervisor, pid int
}

// victim returns one of the tasks that run.
func (x *chaos) victim() chaosVictim {
	x.Helper()
	jobs := []string{"joined", "service"}
	name := jobs[x.rand.IntN(len(jobs))]
	tasks := longJobs[name]
	pot, err := x.taskPot(x.alloc(name).ID, tasks[x.rand.IntN(len(tasks))])
	must.NoError(x, err)
	return x.victimOf(pot)
}

func (x *chaos) victimOf(pot string) chaosVictim {
	x.Helper()
	v := chaosVictim{pot: pot, dir: filepath.Join(x.state, "pots", pot)}
	data, err := os.ReadFile(filepath.Join(v.dir, "running.json"))
	must.NoError(x, err)
	var running struct{ Supervisor, PID int }
	must.NoError(x, json.Unmarshal(data, &running))
	v.supervisor, v.pid = running.Supervisor, running.PID
	return v
}

func killSupervisor(x *chaos) { must.NoError(x, syscall.Kill(x.victim().supervisor, syscall.SIGKILL)) }

func pauseSupervisor(x *chaos) {
	v := x.victim()
	must.NoError(x, syscall.Kill(v.supervisor, syscall.SIGSTOP))
	x.pause(3 * time.Second)
	must.NoError(x, syscall.Kill(v.supervisor, syscall.SIGCONT))
}

// killNetwork kills the process that holds the published ports of a group. The reconciler
// starts it again.
func killNetwork(x *chaos) {
	alloc := x.alloc("joined")
	must.NoError(x, syscall.Kill(x.victimOf("group_"+alloc.ID).supervisor, syscall.SIGKILL))
}

func killCommand(x *chaos) { must.NoError(x, syscall.Kill(x.victim().pid, syscall.SIGKILL)) }

func killCommandUnseen(x *chaos) {
	v := x.victim()
	x.KillAgent()
	killPlugin(x.T, x.Cluster)
	must.NoError(x, syscall.Kill(v.pid, syscall.SIGKILL))
	must.NoError(x, x.StartAgent(ctx(x.T)))
}
