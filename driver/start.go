package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
)

// startInside bounds a start once the image is there: Nomad waits for it, whatever
// becomes of the task meanwhile.
const startWithin = 2 * time.Minute

// StartTask is drivers.DriverPlugin's. After an error nothing of the task is
// left. Nomad shows the error as an event of the task.
func (d *Driver) StartTask(cfg *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork, error) {
	id := TaskID(cfg.ID)
	ctx, ok := d.tasks.take(d.ctx, id)
	if !ok {
		return nil, nil, fmt.Errorf("cannot start task: %s is started already", id)
	}
	t, handle, err := d.start(ctx, cfg)
	if err != nil && errors.Is(context.Cause(ctx), errCalledOff) && !errors.Is(err, errCalledOff) {
		err = fmt.Errorf("%w: %w", errCalledOff, err)
	}
	d.tasks.settle(id, t)
	d.ports.release(id)
	if err != nil {
		d.logger.Error("cannot start task", "task_id", cfg.ID, "error", err)
		return nil, nil, startError(err)
	}
	d.watch(t)
	return handle, t.state.network(), nil
}

// startError is what Nomad is told. Whether it may try again is seen in the
// outermost error alone, so nothing is wrapped around that.
func startError(err error) error {
	told := errors.New("cannot start task: " + oneLine(err))
	if image.Retryable(err) {
		return structs.NewRecoverableError(told, true)
	}
	return told
}

// oneLine is an error for a row of a table: errors.Join puts each on a line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// start goes down a task's path: its image, its pot, its command.
func (d *Driver) start(ctx context.Context, cfg *drivers.TaskConfig) (*task, *drivers.TaskHandle, error) {
	b, err := d.ready()
	if err != nil {
		return nil, nil, err
	}
	p, err := b.plan(cfg)
	if err != nil {
		return nil, nil, err
	}
	tell := d.events.about(cfg)
	if len(p.unquoted) > 0 {
		tell("quotes taken off, as no shell does it: %s", strings.Join(p.unquoted, " "))
	}
	clock := newStopwatch()
	made, snapshot, err := d.clone(ctx, b, p, cfg, tell, clock)
	if err != nil {
		return nil, nil, err
	}
	if refused := made.Refused(); len(refused) > 0 {
		tell("attributes of the image that are not allowed on this client, and not set: %s", strings.Join(refused, ", "))
	}
	if refused := made.RefusedHooks(); len(refused) > 0 {
		tell("hooks of the image that are not allowed on this client, and not run: %s", list(refused, "and"))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errStartWithin)
	defer cancel()
	t, handle, err := run(ctx, made, p, snapshot, cfg, tell)
	if err != nil {
		err = errors.Join(err, destroy(made))
		tellNotes(made, tell)
		return nil, nil, err
	}
	tellNotes(made, tell)
	clock.lap("command")
	tell("started in %s", clock)
	return t, handle, nil
}

// errStartWithin is a start that took too long.
var errStartWithin = fmt.Errorf("not done within %s", startWithin)

// clone makes the task's pot of its image, which is there until it is cloned. It claims the
// pot's ports.
func (d *Driver) clone(ctx context.Context, b *backend, p *plan, cfg *drivers.TaskConfig, tell teller, clock *stopwatch) (*pot.Pot, image.Snapshot, error) {
	d.starting.RLock()
	defer d.starting.RUnlock()
	for tries := 0; ; tries++ {
		snapshot, err := d.ensure(ctx, b, p, tell)
		if err == nil {
			err = notRunning(ctx, b.pots, snapshot.Name)
		}
		if err != nil {
			return nil, snapshot, err
		}
		clock.lap("image")
		p.spec.Image = snapshot.Name
		made, err := d.createWithin(ctx, b, p, cfg, tell)
		if err == nil {
			clock.lap("create")
			return made, snapshot, nil
		}
		if tries > 0 || !errors.Is(err, fs.ErrNotExist) || !gone(ctx, b, snapshot.Name) {
			return nil, snapshot, err
		}
	}
}

// gone reports whether an image was destroyed after it was found, as when another one
// could not be imported beside it.
func gone(ctx context.Context, b *backend, image string) bool {
	_, err := b.pots.Host().Images.Labels(ctx, image)
	return errors.Is(err, fs.ErrNotExist)
}

// notRunning returns an error if a dataset that may be an image is that of a pot which is
// running, or of a task: what is in it changes, and may be nobody else's to read.
func notRunning(ctx context.Context, pots *pot.Pots, name string) error {
	if pot.Name(name).Validate() != nil {
		return nil // no pot has that name
	}
	switch p, err := pots.Find(pot.Name(name)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && p.IsOwn():
		if running, err := pots.FindOwn(ctx, pot.Name(name)); err == nil && running == nil {
			return nil
		}
	}
	return fmt.Errorf("use image %s: it is a pot that is running on this client, and %w; set pot and tag to those of an image, or stop the pot", name, image.ErrNotImage)
}

// createTimeout claims the ports of a task's pot and creates the pot. Both must be done
// within startInside.
func (d *Driver) createWithin(ctx context.Context, b *backend, p *plan, cfg *drivers.TaskConfig, tell teller) (*pot.Pot, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errStartWithin)
	defer cancel()
	over, err := d.ports.claim(cfg, b.pots, p, tell)
	if err != nil {
		return nil, err
	}
	if err := d.takeOver(ctx, b.pots, over, cfg.Name); err != nil {
		return nil, err
	}
	return create(ctx, b.pots, p.spec)
}

// ensure has the image ready to be cloned.
func (d *Driver) ensure(ctx context.Context, b *backend, p *plan, tell teller) (image.Snapshot, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.pullWithin, fmt.Errorf("not there within %s", p.pullWithin))
	defer cancel()
	return b.images.Ensure(ctx, p.ref, p.terms, func(message string) { tell("%s", message) })
}

// create makes the pot. One of that name is left over from a plugin that was
// killed in a start that Nomad now asks for again.
func create(ctx context.Context, pots *pot.Pots, s pot.Spec) (*pot.Pot, error) {
	p, err := pots.Create(ctx, s)
	if !errors.Is(err, fs.ErrExist) {
		return p, err
	}
	if err := pots.Destroy(ctx, s.Name); err != nil {
		return nil, fmt.Errorf("left over from an earlier start: %w", err)
	}
	return pots.Create(ctx, s)
}

// run starts the command.
func run(ctx context.Context, made *pot.Pot, p *plan, from image.Snapshot, cfg *drivers.TaskConfig, tell teller) (*task, *drivers.TaskHandle, error) {
	env := p.env(cfg)
	if err := made.Start(ctx, env); err != nil {
		return nil, nil, err
	}
	started, _, err := made.Started()
	if err != nil {
		return nil, nil, err
	}
	s := state{
		Pot:     string(made.Name()),
		Image:   p.ref.String(),
		Started: started,
		InPot:   p.inPot,
		WorkDir: p.spec.WorkDir,
	}
	if from.Digest != (image.Digest{}) {
		s.Digest = from.Digest.String()
	}
	if addr := made.Address(); addr.IsValid() {
		s.IP = addr.String()
		s.OnWire = len(made.Aliases()) > 0
	}
	handle, err := s.handle(cfg)
	if err != nil {
		return nil, nil, err
	}
	return newTask(cfg, tell, env, s, made), handle, nil
}
