package pot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// Pot is one pot. Its methods are for one caller at a time, but for Wait,
// Usage, Signal and Exec.
type Pot struct {
	*Pots
	name   Name
	dir    string // of its record
	record record
}

// A step makes one part of a pot, and unmakes it. A make that fails leaves
// nothing of its part behind. An unmake succeeds when the part was never made,
// or is already gone, so that what a crash left half made can be destroyed.
type step struct {
	name         string
	make, unmake func(context.Context) error
}

// steps is a pot's life in order: create goes down it, Destroy comes back up.
func (p *Pot) steps() []step {
	return []step{
		{"clone", p.clone, p.unclone},
		{"address", p.takeAddress, p.releaseAddress},
		{"attributes", p.takeAttributes, nothing}, // in the record
		{"configure", p.configure, p.unconfigure}, // in the clone, and gone with it
		{"copy", p.copyIn, nothing},               // into the clone
		{"mount", p.mount, p.unmount},
		{"link", p.link, p.unlink},
		{"limit", p.limit, p.unlimit},
		{"jail", p.jail, p.unjail},
		{"publish", p.publish, p.withdraw},
	}
}

func nothing(context.Context) error { return nil }

// create makes the pot. If a step fails, those before it are unmade: what was
// there already, under the same name, is not ours to take away.
func (p *Pot) create(ctx context.Context) error {
	steps := p.steps()
	for i, s := range steps {
		err := p.begin(s.name)
		if err == nil {
			err = s.make(ctx)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			return errors.Join(err, p.unmake(context.WithoutCancel(ctx), steps[:i]))
		}
	}
	return p.record.write(p.dir)
}

// begin writes down that a step is about to be made.
func (p *Pot) begin(step string) error {
	p.record.Begun = append(p.record.Begun, step)
	return p.record.write(p.dir)
}

// Destroy takes away the pot and all that runs in it. It may be called twice;
// what could not be taken away is told, and may be tried again.
func (p *Pot) Destroy(ctx context.Context) error {
	return p.unmake(ctx, p.steps())
}

// unmake unmakes steps, last first, and then forgets the pot, unless something
// could not be unmade.
func (p *Pot) unmake(ctx context.Context, steps []step) error {
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := steps[i].unmake(ctx); err != nil {
			errs = append(errs, fmt.Errorf("undo %s: %w", steps[i].name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return forget(p.dir)
}

func (p *Pot) clone(ctx context.Context) (err error) {
	s := p.record.Spec
	if s.Own {
		p.record.Dir, err = p.host.Datasets.Dir(ctx, string(s.Name))
		return err
	}
	p.record.Dir, err = p.host.Datasets.Clone(ctx, Clone{
		Image: s.Image, Name: string(s.Name), Labels: s.Labels, QuotaBytes: s.DiskBytes,
	})
	return err
}

// unclone destroys the clone, unless its labels say that it is another's. One with
// no labels is another tool's, if there is no record of it.
func (p *Pot) unclone(ctx context.Context) error {
	if p.record.Spec.Own {
		return nil
	}
	labels, err := p.host.Images.Labels(ctx, string(p.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case p.record.Version != 0 && !maps.Equal(labels, p.record.Spec.Labels), p.record.Version == 0 && len(labels) == 0:
		return nil
	}
	return p.host.Datasets.Destroy(ctx, string(p.name))
}

// tree is the root of the pot's files, seen from the host.
func (p *Pot) tree() string { return filepath.Join(p.record.Dir, "m") }

// takeAttributes reads what the image says of its jail.
func (p *Pot) takeAttributes(ctx context.Context) error {
	conf, err := p.imageConf(ctx)
	if err != nil {
		return err
	}
	p.record.Release = conf.Release
	if p.record.Spec.Own { // nobody but this host's operator has set them
		p.record.Attributes = ownAttributes(conf.Attributes)
		return nil
	}
	p.record.Attributes, p.record.Refused = merge(conf.Attributes, p.record.Spec.Attributes, p.allowed)
	return nil
}

// configure writes the files that make the clone this pot and no other.
func (p *Pot) configure(context.Context) error {
	if !p.record.Spec.Own {
		if err := writeConf(p.record.Dir, &p.record); err != nil {
			return err
		}
	}
	return writeEtc(p.tree(), &p.record.Spec, p.record.Address)
}

// unconfigure takes this host's resolver(5) out of a dataset that stays, as pot does: it
// would go into images. What a pot has made unreachable stays, and its end goes on.
func (p *Pot) unconfigure(context.Context) error {
	if !p.record.Spec.Own || p.record.Spec.DNS.Off || p.record.Dir == "" {
		return nil
	}
	root, err := os.OpenRoot(p.tree())
	if err != nil {
		return nil
	}
	defer root.Close()
	root.Remove("etc/resolv.conf")
	return nil
}

func (p *Pot) copyIn(ctx context.Context) error {
	for _, c := range p.record.Spec.Copies {
		if err := copyIn(ctx, p.tree(), c); err != nil {
			return fmt.Errorf("%s to %s: %w", c.Source, c.Target, err)
		}
	}
	return nil
}

func (p *Pot) mount(ctx context.Context) error {
	for _, m := range p.record.Spec.mounts(p.record.Attributes) {
		if err := p.host.Mounts.Mount(ctx, p.tree(), m); err != nil {
			err = fmt.Errorf("%s on %s: %w", m.Source, m.Target, err)
			return errors.Join(err, p.unmount(context.WithoutCancel(ctx)))
		}
	}
	return nil
}

func (p *Pot) unmount(ctx context.Context) error {
	dir, err := p.host.Datasets.Dir(ctx, string(p.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.host.Mounts.UnmountAll(ctx, filepath.Join(dir, "m"))
}

func (p *Pot) jail(ctx context.Context) error {
	return p.host.Jails.Create(ctx, Jail{
		Name:     p.name,
		Root:     p.tree(),
		Hostname: p.record.Spec.hostname(),
		Release:  p.record.Release,
		Network:  p.record.Spec.Network,
		Stack:    p.record.Spec.Stack,
		Link:     p.ownLink(),
		Aliases:  p.record.Aliases,
		CPUs:     p.record.Spec.Limits.CPUs,

		Attributes: p.record.Attributes,
	})
}

func (p *Pot) unjail(ctx context.Context) error {
	return p.host.Jails.Remove(ctx, p.name)
}

func (p *Pot) limit(ctx context.Context) error {
	return p.host.Limiter.Set(ctx, p.name, p.record.Spec.Limits)
}

func (p *Pot) unlimit(ctx context.Context) error {
	return p.host.Limiter.Clear(ctx, p.name)
}
