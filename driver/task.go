package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot/life"
)

// task is a pot whose command was started for Nomad.
type task struct {
	id      TaskID
	name    string // in its job
	user    string
	emit    eventFunc
	env     []string
	state   state
	pot     *life.Pot
	changes sync.Mutex // held by a stop or destroy: one at a time

	memoryKey string // the job's key for the memory limit, for events

	// acknowledged is set once Nomad has named the task in an RPC. An agent that is
	// killed while it waits for a start never learns that the task exists.
	acknowledged atomic.Bool

	// destroyFailed is set when DestroyTask has failed. Nomad calls it once, and
	// then forgets the task.
	destroyFailed atomic.Bool

	ended     chan struct{} // closed when the fields below are set
	result    drivers.ExitResult
	completed time.Time
}

// newTask returns a task that is not watched yet. env is for further commands in its pot:
// state has no environment, since Nomad writes that to disk.
func newTask(cfg *drivers.TaskConfig, emit eventFunc, env []string, s state, p *life.Pot) *task {
	return &task{
		id:    TaskID(cfg.ID),
		name:  cfg.Name,
		user:  cfg.User,
		emit:  emit,
		env:   env,
		state: s,
		pot:   p,
		ended: make(chan struct{}),

		memoryKey: memoryKey(cfg.Resources),
	}
}

// watch waits in the background for the end of t's command, and for processes
// killed for want of memory.
func (d *Driver) watch(t *task) {
	go t.watch(d.ctx)
	d.memory.add(d.ctx, t)
}

// watch closes t.ended when the command has ended. It returns early if ctx ends.
func (t *task) watch(ctx context.Context) {
	end, err := t.pot.Wait(ctx)
	if ctx.Err() != nil {
		return
	}
	t.completed = end.Ended
	if t.completed.IsZero() {
		t.completed = time.Now()
	}
	t.result = exitResult(end, err)
	t.emitMemoryKills(ctx)
	if with := t.pot.KilledWith(); isGroupPot(with) {
		t.emit("Killed with the network of the group, which is made again for the next task")
	} else if with != "" {
		t.emit("Killed with the task whose network this one has joined")
	}
	close(t.ended)
}

// unknownCode is the exit code of a command whose end nobody saw. It means
// failure, and no process can exit with it.
const unknownCode = -1

// exitResult translates how a command ended. err says why that is unknown.
func exitResult(end life.End, err error) drivers.ExitResult {
	if err != nil && end.Ended.IsZero() {
		return drivers.ExitResult{ExitCode: unknownCode, Err: fmt.Errorf("exit status of the command is unknown: %w", err)}
	}
	result := drivers.ExitResult{ExitCode: end.Code, Signal: end.Signal, OOMKilled: end.OutOfMemory}
	if end.TimedOut {
		result.Err = errors.New("killed: the command ran longer than config.limits.wallclock")
	}
	return result
}

// running reports whether the command has not ended.
func (t *task) running() bool {
	select {
	case <-t.ended:
		return false
	default:
		return true
	}
}
