package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/life"
)

// Bounds on waits for which Nomad gives no bound.
const (
	removeTimeout = time.Minute     // for the end of a pot's jail
	resultTimeout = 5 * time.Second // for the record of how the command ended
)

// defaultSignal stops a task without kill_signal. jail(8) and pot send it first
// too.
const defaultSignal = syscall.SIGTERM

// StopTask implements drivers.DriverPlugin. It returns when nothing runs in the
// task's pot any more, and cancels a start that is under way. It may be called
// for a task that has ended or that the plugin does not know.
//
// A kill_signal that does not exist must not keep the task alive: an event names
// it, and the default is sent.
func (d *Driver) StopTask(id string, timeout time.Duration, signal string) error {
	sig := defaultSignal
	var wrong error
	if signal != "" {
		if sig, wrong = parseSignal(signal); wrong != nil {
			sig = defaultSignal
		}
	}
	t := d.tasks.cancelStart(TaskID(id))
	if t != nil && wrong != nil {
		t.emit("Ignored kill_signal: %v; sent %s instead", wrong, unix.SignalName(sig))
	}
	if err := d.stopTask(TaskID(id), t, sig, timeout); err != nil {
		return fmt.Errorf("cannot stop task: %w", err)
	}
	return nil
}

// stopTask stops t or, if the plugin does not know the task, the pot that has
// the task's name.
func (d *Driver) stopTask(id TaskID, t *task, sig syscall.Signal, timeout time.Duration) error {
	if t != nil {
		return t.stop(sig, timeout)
	}
	b := d.current()
	if b.pots == nil {
		return nil
	}
	p, err := b.pots.Find(id.PotName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		// Nothing can be signalled without the pot's record. Nomad wants the task to
		// end, so it is killed.
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		defer cancel()
		return b.pots.Kill(ctx, id.PotName())
	}
	return stop(p, sig, timeout)
}

// DestroyTask implements drivers.DriverPlugin. Nomad also calls it for a task
// that could not be recovered, which the plugin does not know: its pot is found
// by its name.
func (d *Driver) DestroyTask(id string, force bool) error {
	t := d.tasks.cancelStart(TaskID(id))
	if t != nil && t.running() && !force {
		return errors.New("cannot destroy task: it is running and force is not set")
	}
	err := d.destroyTask(TaskID(id), t)
	if err != nil {
		if t != nil {
			t.destroyFailed.Store(true)
		}
		d.logger.Error("cannot destroy task", "task_id", id, "error", err)
		return fmt.Errorf("cannot destroy task: %w", err)
	}
	if t != nil {
		d.tasks.finish(TaskID(id), nil)
	}
	return nil
}

// destroyTask destroys t's pot or, if the plugin does not know the task, the pot
// that has the task's name.
func (d *Driver) destroyTask(id TaskID, t *task) error {
	if t != nil {
		return t.destroy()
	}
	b := d.current()
	if b.pots == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return b.pots.Destroy(ctx, id.PotName())
}

// stop ends everything that runs in the task's pot.
func (t *task) stop(sig syscall.Signal, grace time.Duration) error {
	t.changes.Lock()
	defer t.changes.Unlock()
	defer emitHookOutput(t.pot, t.emit)
	return stop(t.pot, sig, grace)
}

// destroy destroys the task's pot, and ends everything that runs in it. It gives
// those who wait for the command time to learn how it ended, before it destroys
// the record of that.
func (t *task) destroy() error {
	t.changes.Lock()
	defer t.changes.Unlock()
	defer emitHookOutput(t.pot, t.emit)
	if t.running() {
		if err := stop(t.pot, syscall.SIGKILL, 0); err != nil {
			return err
		}
		select {
		case <-t.ended:
		case <-time.After(resultTimeout):
		}
	}
	return destroy(t.pot)
}

// stop ends all that runs in a pot. The removal of what is left has a time of its own,
// beside the grace: Nomad bounds only the wait for the command.
func stop(p *life.Pot, sig syscall.Signal, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace+removeTimeout)
	defer cancel()
	return p.Stop(ctx, sig, grace)
}

// destroy destroys a pot even if the RPC that asks for it was cancelled: half of a pot
// would have to be destroyed later.
func destroy(p *life.Pot) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return p.Destroy(ctx)
}

// emitHookOutput emits an event for each note that the pot's hooks have left.
func emitHookOutput(p *life.Pot, emit eventFunc) {
	for _, note := range p.Notes() {
		emit("%s", strings.ReplaceAll(note, "\n", "; "))
	}
}
