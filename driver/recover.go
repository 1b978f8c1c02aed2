package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// RecoverTask implements drivers.DriverPlugin. It recovers a task that another
// plugin process started. A task that has ended meanwhile is recovered too, so that
// WaitTask can return how it ended.
//
// After an error Nomad destroys the task and starts another, whatever its restart
// policy. So RecoverTask returns an error only if the task is gone.
func (d *Driver) RecoverTask(h *drivers.TaskHandle) error {
	s, err := readState(h)
	if err != nil {
		return fmt.Errorf("cannot recover task: %w", err)
	}
	id := TaskID(h.Config.ID)
	if _, ok := d.tasks.begin(d.ctx, id); !ok {
		d.lookup(string(id)) // Nomad has named the task
		return nil           // the agent was restarted, and this plugin was not
	}
	t, err := d.recover(h.Config, s)
	if t != nil {
		t.acknowledged.Store(true)
	}
	d.tasks.finish(id, t)
	if err != nil {
		d.logger.Warn("cannot recover task", "task_id", id, "error", err)
		return fmt.Errorf("cannot recover task: %w", err)
	}
	d.watch(t)
	return nil
}

// recover finds the pot of a task whose state was s.
func (d *Driver) recover(cfg *drivers.TaskConfig, s *state) (*task, error) {
	b := d.current()
	if b.openErr != nil {
		return nil, b.openErr
	}
	p, err := find(b.pots, pot.Name(s.Pot))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such pot: %s", s.Pot)
	}
	emit := d.events.forTask(cfg)
	if err != nil {
		d.logger.Warn("cannot read a task's record: the task keeps running, but no command can be run in it", "task_id", cfg.ID, "error", err)
		emit("Cannot run commands in the task any more: %s", oneLine(err))
		p = b.pots.Damaged(pot.Name(s.Pot), err, false)
	}
	// Any other error here is one of the supervisor's records, and WaitTask returns
	// it as the way that the task ended.
	if _, _, err := p.Started(); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the command of pot %s was never started: %w", s.Pot, err)
	}
	return newTask(cfg, emit, cfg.EnvList(), *s, p), nil
}

// find calls pots.Find up to three times. An error other than fs.ErrNotExist does
// not mean that the pot is gone, and may be over soon.
func find(pots *life.Pots, name pot.Name) (p *life.Pot, err error) {
	for range 3 {
		if p, err = pots.Find(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		time.Sleep(200 * time.Millisecond)
	}
	return nil, err
}
