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

// taskHookTimeout bounds a hook of a task's pot. It is shorter than the driver's timeouts for
// a whole start or end, so that a hook that hangs does not fail them, as a hook that fails
// does not.
const taskHookTimeout = 30 * time.Second

// Notes returns the messages for the pot's user since its last call: what does not work as
// asked for in the pot, the output of its hooks, and their failures.
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

// RefusedHooks returns the image's hooks that are not run because they are not allowed on
// this host.
func (p *Pot) RefusedHooks() []conf.Hook { return p.record.RefusedHooks }

// runPrestart copies the image's hooks that the operator allows into the pot's conf, which
// no process of a pot can reach, and runs the prestart hook.
func (p *Pot) runPrestart(ctx context.Context) error {
	if p.record.Spec.InPlace || p.record.Spec.Bare {
		return nil // package local runs the hooks of a pot in place
	}
	copied, refused, err := p.copyHooks(ctx)
	if err != nil {
		return err
	}
	p.change(func(r *record) { r.Hooks, r.RefusedHooks = copied, refused })
	if err := p.save(); err != nil { // before the hook does anything that poststop must undo
		return err
	}
	p.hook(ctx, conf.PreStart)
	return ctx.Err()
}

// copyHooks returns the image's hooks that it has copied, and the hooks that are not
// allowed. A hook that ReadHook refuses is noted and not run.
func (p *Pot) copyHooks(ctx context.Context) (copied, refused []conf.Hook, err error) {
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
			copied = append(copied, h)
		}
	}
	return copied, refused, nil
}

// runPoststop runs the poststop hook, once.
func (p *Pot) runPoststop(ctx context.Context) error {
	if len(p.record.Hooks) == 0 {
		return nil
	}
	last := slices.Contains(p.record.Hooks, conf.PostStop)
	// It is recorded first: if this process is killed while the hook runs, the next one
	// destroys the pot and must not run it again. A failed write, as on a full disk, must
	// not keep the pot from being destroyed.
	p.change(func(r *record) { r.Hooks = nil })
	_ = p.save()
	if last {
		p.runHook(ctx, conf.PostStop)
	}
	return nil
}

// hook runs a hook, if the pot has it and it is allowed.
func (p *Pot) hook(ctx context.Context, h conf.Hook) {
	if slices.Contains(p.record.Hooks, h) {
		p.runHook(ctx, h)
	}
}

// runHook runs a hook with the environment that pot.conf gives it as it was written from
// the record: the file itself may be gone or changed by then.
func (p *Pot) runHook(ctx context.Context, h conf.Hook) {
	potConf, err := conf.ParseLines(p.record.potConf())
	if err != nil {
		potConf = new(conf.Lines)
	}
	HookRun{
		Supervisor: p.supervisor, Dir: p.record.Dir, Pot: p.name,
		Env: HostEnvironment(ctx, p.host, p.name, p.jailName(), potConf, p.record.Address), Timeout: taskHookTimeout, Tell: p.note,
	}.Run(ctx, h)
}
