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
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// startTimeout bounds each of the two parts of a start that follow the pull: the
// creation of the pot and the start of its command. Nomad waits for StartTask, even
// if the task is stopped meanwhile.
const startTimeout = 2 * time.Minute

// StartTask implements drivers.DriverPlugin. After an error nothing of the task is
// left. Nomad shows the error as an event of the task.
func (d *Driver) StartTask(cfg *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork, error) {
	id := TaskID(cfg.ID)
	ctx, ok := d.tasks.begin(d.ctx, id)
	if !ok {
		return nil, nil, fmt.Errorf("cannot start task: %s is already started", id)
	}
	t, handle, err := d.start(ctx, cfg)
	// The first thing that fails in a cancelled start may not say that it was cancelled.
	if err != nil && errors.Is(context.Cause(ctx), errStartCancelled) && !errors.Is(err, errStartCancelled) {
		err = fmt.Errorf("%w: %w", errStartCancelled, err)
	}
	d.tasks.finish(id, t)
	d.ports.release(id)
	if err != nil {
		d.logger.Error("cannot start task", "task_id", cfg.ID, "error", err)
		return nil, nil, startError(err)
	}
	d.watch(t)
	return handle, t.state.network(), nil
}

// startError returns err for Nomad. Nomad retries a start if the outermost error is
// recoverable, so nothing may be wrapped around that.
func startError(err error) error {
	flat := errors.New("cannot start task: " + oneLine(err))
	if image.Retryable(err) || errors.Is(err, errNotYet) || errors.Is(err, life.ErrCannotJoin) {
		return structs.NewRecoverableError(flat, true)
	}
	return flat
}

// oneLine formats an error for a row of a table. errors.Join puts each of its errors
// on a line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// start pulls the task's image, creates its pot and starts its command.
func (d *Driver) start(ctx context.Context, cfg *drivers.TaskConfig) (*task, *drivers.TaskHandle, error) {
	b, err := d.ready()
	if err != nil {
		return nil, nil, err
	}
	p, err := b.plan(cfg)
	if err != nil {
		return nil, nil, err
	}
	d.supersede(b, TaskID(cfg.ID))
	emit := d.events.forTask(cfg)
	clock := newStopwatch()
	if err := d.awaitOwner(ctx, b, p, cfg, emit); err != nil {
		return nil, nil, err
	}
	made, snapshot, err := d.clone(ctx, b, p, cfg, emit, clock)
	if err != nil {
		return nil, nil, err
	}
	if refused := made.Refused(); len(refused) > 0 {
		emit("Ignored image attributes not in this client's allow_attributes: %s", strings.Join(refused, ", "))
	}
	if refused := made.RefusedHooks(); len(refused) > 0 {
		emit("Ignored image hooks not in this client's allow_hooks: %s", list(refused, "and"))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errStartTimeout)
	defer cancel()
	t, handle, err := run(ctx, made, p, snapshot, cfg, emit)
	if err != nil {
		err = errors.Join(err, destroy(made))
		emitHookOutput(made, emit)
		return nil, nil, err
	}
	emitHookOutput(made, emit)
	clock.lap("command")
	emit("Started in %s", clock)
	return t, handle, nil
}

// errStartTimeout is the error of a start that takes longer than startTimeout.
var errStartTimeout = fmt.Errorf("timed out after %s", startTimeout)

// clone pulls the task's image, claims its ports and clones its pot from the image. The
// image is not destroyed before that by the reconciler. If it is destroyed otherwise, clone
// pulls it once more.
func (d *Driver) clone(ctx context.Context, b *backend, p *plan, cfg *drivers.TaskConfig, emit eventFunc, clock *stopwatch) (*life.Pot, store.Imported, error) {
	d.starting.RLock()
	defer d.starting.RUnlock()
	for tries := 0; ; tries++ {
		snapshot, err := d.ensure(ctx, b, p, emit)
		if err == nil {
			err = checkNotRunning(ctx, b.pots, snapshot.Name)
		}
		if err != nil {
			return nil, snapshot, err
		}
		clock.lap("image")
		p.spec.Image = snapshot.Name
		var made *life.Pot
		if err = b.readCommand(ctx, p, cfg.Env, emit); err == nil {
			made, err = d.claimAndCreate(ctx, b, p, cfg, emit)
		}
		if err == nil {
			clock.lap("create")
			return made, snapshot, nil
		}
		if tries > 0 || !errors.Is(err, fs.ErrNotExist) || !imageGone(ctx, b, snapshot.Name) {
			return nil, snapshot, err
		}
	}
}

// imageGone reports whether an image does not exist. It may be destroyed after ensure has
// found it, as when another image could not be imported beside it.
func imageGone(ctx context.Context, b *backend, image string) bool {
	_, err := b.pots.Host().Images.Labels(ctx, image)
	return errors.Is(err, fs.ErrNotExist)
}

// checkNotRunning returns an error if an image is the dataset of a pot that runs, or of a
// task's pot: its files change, and may be private to that pot.
func checkNotRunning(ctx context.Context, pots *life.Pots, name string) error {
	if pot.Name(name).Validate() != nil {
		return nil // no pot has that name
	}
	switch p, err := pots.Find(pot.Name(name)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && p.InPlace():
		if running, err := local.Running(ctx, pots, pot.Name(name)); err == nil && running == nil {
			return nil
		}
	}
	return fmt.Errorf("use image %s: it is a pot that is running on this client, and %w; set pot and tag to an image's, or stop the pot", name, store.ErrNotImage)
}

// claimAndCreate claims the ports of a task's pot and creates the pot. Both must be done
// within startTimeout.
func (d *Driver) claimAndCreate(ctx context.Context, b *backend, p *plan, cfg *drivers.TaskConfig, emit eventFunc) (*life.Pot, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errStartTimeout)
	defer cancel()
	takeovers, err := d.ports.claim(cfg, b.pots, p, emit)
	if err != nil {
		return nil, err
	}
	if err := d.takePorts(ctx, b.pots, takeovers, cfg.Name); err != nil {
		return nil, err
	}
	return p.create(ctx, b.pots)
}

// ensure pulls the task's image, unless it is there, and returns its dataset. It may take
// as long as the plan's pullTimeout.
func (d *Driver) ensure(ctx context.Context, b *backend, p *plan, emit eventFunc) (store.Imported, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.pullTimeout, fmt.Errorf("image pull timed out after %s", p.pullTimeout))
	defer cancel()
	progress := func(message string) { emit("%s", message) }
	if p.container != nil {
		return b.images.EnsureContainer(ctx, *p.container, p.terms, progress)
	}
	return b.images.Ensure(ctx, p.ref, p.terms, progress)
}

// create calls create, which creates the pot of that name. It destroys a pot of the same name first: a plugin that was
// killed during the start has left it, and Nomad has called StartTask again.
func create(ctx context.Context, pots *life.Pots, name pot.Name, create func() (*life.Pot, error)) (*life.Pot, error) {
	p, err := create()
	if !errors.Is(err, fs.ErrExist) {
		return p, err
	}
	if err := pots.Destroy(ctx, name); err != nil {
		return nil, fmt.Errorf("pot left over from an earlier start: %w", err)
	}
	return create()
}

// run starts the pot's command, and returns the task and its handle.
func run(ctx context.Context, made *life.Pot, p *plan, from store.Imported, cfg *drivers.TaskConfig, emit eventFunc) (*task, *drivers.TaskHandle, error) {
	env := p.setPortEnv(cfg)
	if err := made.Start(ctx, env); err != nil {
		return nil, nil, err
	}
	started, _, err := made.Started()
	if err != nil {
		return nil, nil, err
	}
	s := state{
		Pot:     string(made.Name()),
		Image:   p.source(),
		Digest:  from.DigestText(),
		Started: started,
		PortMap: p.portMap,
		WorkDir: p.spec.WorkDir,
	}
	if addr := made.Address(); addr.IsValid() {
		s.IP = addr.String()
		s.AutoAdvertise = len(made.Aliases()) > 0
	}
	handle, err := s.handle(cfg)
	if err != nil {
		return nil, nil, err
	}
	return newTask(cfg, emit, env, s, made), handle, nil
}
