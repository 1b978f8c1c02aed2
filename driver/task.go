package driver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// task is a pot whose command was started for Nomad.
type task struct {
	id      TaskID
	name    string // Nomad's
	user    string
	tell    teller
	env     []string
	state   state
	pot     *pot.Pot
	changes sync.Mutex // one stop or destroy at a time

	memoryKey string // of the job, of the limit that counts

	// heard is that Nomad has spoken of it. An agent that is killed during a start
	// never learns that there is such a task.
	heard atomic.Bool

	// left is that it could not be destroyed when Nomad asked for that, which it
	// does once.
	left atomic.Bool

	ended     chan struct{} // closed when what is below is there
	result    drivers.ExitResult
	completed time.Time
}

func newTask(cfg *drivers.TaskConfig, tell teller, env []string, s state, p *pot.Pot) *task {
	return &task{
		id:    TaskID(cfg.ID),
		name:  cfg.Name,
		user:  cfg.User,
		tell:  tell,
		env:   env,
		state: s,
		pot:   p,
		ended: make(chan struct{}),

		memoryKey: memoryKey(cfg.Resources),
	}
}

// watch has what becomes of t noticed.
func (d *Driver) watch(t *task) {
	go t.watch(d.ctx)
	d.memory.add(d.ctx, t)
}

// watch waits for the command's end, or for that of ctx.
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
	t.tellMemory(ctx)
	close(t.ended)
}

// unknownCode is the exit code of a command whose end nobody saw. It is no
// success, and none that a process can have.
const unknownCode = -1

func exitResult(end pot.End, err error) drivers.ExitResult {
	if err != nil && end.Ended.IsZero() {
		return drivers.ExitResult{ExitCode: unknownCode, Err: fmt.Errorf("how the command ended is not known: %w", err)}
	}
	result := drivers.ExitResult{ExitCode: end.Code, Signal: end.Signal, OOMKilled: end.OutOfMemory}
	if end.TimedOut {
		result.Err = errors.New("killed: it ran for longer than limits.wallclock allows")
	}
	return result
}

// running tells whether the command has not ended.
func (t *task) running() bool {
	select {
	case <-t.ended:
		return false
	default:
		return true
	}
}

// status is the task as it is now.
func (t *task) status() *drivers.TaskStatus {
	s := &drivers.TaskStatus{
		ID:        string(t.id),
		Name:      t.name,
		State:     drivers.TaskStateRunning,
		StartedAt: t.state.Started,
		DriverAttributes: map[string]string{
			"pot":   t.state.Pot,
			"image": t.state.Image,
		},
		NetworkOverride: t.state.network(),
	}
	if t.state.Digest != "" {
		s.DriverAttributes["digest"] = t.state.Digest
	}
	if t.state.IP != "" {
		s.DriverAttributes["ip"] = t.state.IP
	}
	if _, pid, err := t.pot.Started(); err == nil {
		s.DriverAttributes["pid"] = strconv.Itoa(pid)
	}
	if !t.running() {
		s.State = drivers.TaskStateExited
		s.CompletedAt = t.completed
		s.ExitResult = t.result.Copy()
	}
	return s
}

// Bounds on what Nomad gives no bound for.
const (
	removeWithin = time.Minute     // the end of a pot's jail
	resultWithin = 5 * time.Second // the news of a command's end, when it has
)

// stop ends all that runs in the pot.
func (t *task) stop(sig syscall.Signal, grace time.Duration) error {
	t.changes.Lock()
	defer t.changes.Unlock()
	defer tellNotes(t.pot, t.tell)
	return stop(t.pot, sig, grace)
}

// tellNotes tells what the pot's hooks have said.
func tellNotes(p *pot.Pot, tell teller) {
	for _, note := range p.Notes() {
		tell("%s", strings.ReplaceAll(note, "\n", "; "))
	}
}

func stop(p *pot.Pot, sig syscall.Signal, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace+removeWithin)
	defer cancel()
	return p.Stop(ctx, sig, grace)
}

// destroy takes away the pot, and all that runs in it. Those who wait for the
// command learn how it ended before the record of that is gone.
func (t *task) destroy() error {
	t.changes.Lock()
	defer t.changes.Unlock()
	defer tellNotes(t.pot, t.tell)
	if t.running() {
		if err := stop(t.pot, syscall.SIGKILL, 0); err != nil {
			return err
		}
		select {
		case <-t.ended:
		case <-time.After(resultWithin):
		}
	}
	return destroy(t.pot)
}

func destroy(p *pot.Pot) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	return p.Destroy(ctx)
}

// signal sends sig to the command.
func (t *task) signal(sig syscall.Signal) error {
	err := t.pot.Signal(sig)
	if errors.Is(err, supervise.ErrEnded) {
		return fmt.Errorf("the command: %w", err)
	}
	return err
}
