package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"nomad-driver-pot/image/conf"
)

// taskHookTimeout bounds a hook of a task's pot. It is less than what Nomad's starts and
// ends have in all: a hook that hangs changes nothing, as one that fails.
const taskHookTimeout = 30 * time.Second

// Notes are what the pot's user should know since this was asked last: what does not work
// in it as it should, what its hooks have said, and why they failed.
func (p *Pot) Notes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	notes := p.notes
	p.notes = nil
	return notes
}

func (p *Pot) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// RefusedHooks are programs of the image that are not run, because they are not allowed
// here.
func (p *Pot) RefusedHooks() []conf.Hook { return p.record.RefusedHooks }

// takeHooks copies those of the image's programs for the host that the operator allows
// into the pot's conf, which nothing in a pot can reach, and runs the first.
func (p *Pot) runPrestart(ctx context.Context) error {
	if p.record.Spec.InPlace {
		return nil // its operator has set them, and StartOwn runs them
	}
	taken, refused, err := p.copyHooks(ctx)
	if err != nil {
		return err
	}
	p.change(func(r *record) { r.Hooks, r.RefusedHooks = taken, refused })
	if err := p.save(); err != nil { // before anything is done that PostStop undoes
		return err
	}
	p.hook(ctx, conf.PreStart)
	return ctx.Err()
}

// copyHooks returns which of the image's programs it has copied, and which are not
// allowed. One that is not what a program can be is noted, and not run.
func (p *Pot) copyHooks(ctx context.Context) (taken, refused []conf.Hook, err error) {
	dir, err := p.host.Datasets.Dir(ctx, p.record.Spec.Image)
	if err != nil {
		return nil, nil, fmt.Errorf("image %s: %w", p.record.Spec.Image, err)
	}
	from, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer from.Close()
	to, err := os.OpenRoot(p.record.Dir)
	if err != nil {
		return nil, nil, err
	}
	defer to.Close()
	for _, h := range conf.Hooks {
		program, err := ReadHook(from, h)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case !slices.Contains(p.record.Spec.Hooks, h):
			refused = append(refused, h)
		case err != nil:
			p.note("%s of image %s: not run: %v", h, p.record.Spec.Image, err)
		default:
			if err := WriteHook(to, h, program, 0o700); err != nil {
				return nil, nil, err
			}
			taken = append(taken, h)
		}
	}
	return taken, refused, nil
}

// leaveHooks runs what comes after all else, once.
func (p *Pot) runPoststop(ctx context.Context) error {
	if len(p.record.Hooks) == 0 {
		return nil
	}
	last := slices.Contains(p.record.Hooks, conf.PostStop)
	// It is written down first: a plugin that is killed while the hook runs leaves the pot
	// to another one. That it cannot be written, on a full disk say, keeps no pot.
	p.change(func(r *record) { r.Hooks = nil })
	_ = p.save()
	if last {
		p.runHook(ctx, conf.PostStop)
	}
	return nil
}

// hook runs one of the pot's, if it has it and may.
func (p *Pot) hook(ctx context.Context, h conf.Hook) {
	if slices.Contains(p.record.Hooks, h) {
		p.runHook(ctx, h)
	}
}

func (p *Pot) runHook(ctx context.Context, h conf.Hook) {
	potConf, err := conf.ParseLines(p.record.potConf())
	if err != nil {
		potConf = new(conf.Lines)
	}
	HookRun{
		Supervisor: p.supervisor, Dir: p.record.Dir, Pot: p.name,
		Env: HostEnvironment(ctx, p.host, p.name, potConf, p.record.Address), Timeout: taskHookTimeout, Tell: p.note,
	}.Run(ctx, h)
}
