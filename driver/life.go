package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"golang.org/x/sys/unix"
)

// WaitTask is drivers.DriverPlugin's: one result, whenever the task ends or has
// ended, or none if ctx ends first.
func (d *Driver) WaitTask(ctx context.Context, id string) (<-chan *drivers.ExitResult, error) {
	t, err := d.known(id)
	if err != nil {
		return nil, err
	}
	results := make(chan *drivers.ExitResult, 1)
	go func() {
		defer close(results)
		select {
		case <-t.ended:
			results <- t.result.Copy()
		case <-ctx.Done():
		}
	}()
	return results, nil
}

// defaultSignal is what a task without kill_signal is asked to end with: what
// jail(8) and pot send first.
const defaultSignal = syscall.SIGTERM

// StopTask is drivers.DriverPlugin's. It returns when nothing runs any more,
// and may be called for a task that has ended or that nobody knows; a start that is
// under way is called off. A
// kill_signal that does not exist must not keep the task alive: it is told, and
// the default sent.
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
		t.emit("kill_signal: %v: %s is sent", wrong, unix.SignalName(sig))
	}
	if err := d.stopTask(TaskID(id), t, sig, timeout); err != nil {
		return fmt.Errorf("cannot stop task: %w", err)
	}
	return nil
}

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
		// Who cannot be told gently is killed: a task that Nomad wants to end ends.
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		defer cancel()
		return b.pots.Halt(ctx, id.PotName())
	}
	return stop(p, sig, timeout)
}

// DestroyTask is drivers.DriverPlugin's. A task that nobody knows is what
// remains when it could not be recovered: its pot is found by its name.
func (d *Driver) DestroyTask(id string, force bool) error {
	t := d.tasks.cancelStart(TaskID(id))
	if t != nil && t.running() && !force {
		return errors.New("cannot destroy task: it is running, and force is not set")
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

// InspectTask is drivers.DriverPlugin's.
func (d *Driver) InspectTask(id string) (*drivers.TaskStatus, error) {
	t, err := d.known(id)
	if err != nil {
		return nil, err
	}
	return t.status(), nil
}

// SignalTask is drivers.DriverPlugin's.
func (d *Driver) SignalTask(id, signal string) error {
	t, err := d.known(id)
	if err != nil {
		return err
	}
	sig, err := parseSignal(signal)
	if err == nil {
		err = t.signal(sig)
	}
	if err != nil {
		return fmt.Errorf("cannot signal task: %w", err)
	}
	return nil
}

// parseSignal knows signals by their names, with or without SIG.
func parseSignal(name string) (syscall.Signal, error) {
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	sig := unix.SignalNum(upper)
	if sig == 0 {
		return 0, fmt.Errorf("no such signal: %q", name)
	}
	return sig, nil
}
