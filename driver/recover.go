package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// RecoverTask is drivers.DriverPlugin's: it takes up a task that another plugin
// process started. One that has ended meanwhile is taken up too, so that
// WaitTask can tell how. After an error Nomad destroys the task and, whatever its
// restart policy, starts another, so there is none unless the task is gone.
func (d *Driver) RecoverTask(h *drivers.TaskHandle) error {
	s, err := readState(h)
	if err != nil {
		return fmt.Errorf("cannot recover task: %w", err)
	}
	id := TaskID(h.Config.ID)
	if _, ok := d.tasks.begin(d.ctx, id); !ok {
		d.known(string(id))
		return nil // the agent was restarted, and this plugin was not
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

func (d *Driver) recover(cfg *drivers.TaskConfig, s *state) (*task, error) {
	b := d.current()
	if b.openErr != nil {
		return nil, b.openErr
	}
	p, err := find(b.pots, pot.Name(s.Pot))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("pot %s is gone", s.Pot)
	}
	tell := d.events.forTask(cfg)
	if err != nil {
		d.logger.Warn("a task's record cannot be read: it goes on, but nothing can be executed in it", "task_id", cfg.ID, "error", err)
		tell("nothing can be executed in the task any more: %s", oneLine(err))
		p = b.pots.Remains(pot.Name(s.Pot), err)
	}
	// What else is wrong with the supervisor's records is how the task ended.
	if _, _, err := p.Started(); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("pot %s: its command was never started: %w", s.Pot, err)
	}
	return newTask(cfg, tell, cfg.EnvList(), *s, p), nil
}

// find is pots.Find, tried a few times: not to find out is not the same as to
// find that a pot is gone.
func find(pots *pot.Pots, name pot.Name) (p *pot.Pot, err error) {
	for range 3 {
		if p, err = pots.Find(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		time.Sleep(200 * time.Millisecond)
	}
	return nil, err
}
