package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// Pot is one pot. Wait, Usage, Signal and Exec may be called at the same time; all other
// methods are for one caller at a time.
type Pot struct {
	*Pots
	name pot.Name
	dir  string // holds its record

	mu        sync.Mutex // held to change record, notes and saved: steps run side by side
	record    record
	notes     []string  // for Notes
	saved     bool      // whether record is as on disk
	recordErr error     // why the record could not be read
	shared    *pot.Spec // for CreateIn
	cloned    bool      // whether this process made the clone, so that it cannot be another pot's

	conf atomic.Pointer[conf.Image] // for imageConf
}

// clone makes the pot's dataset from its image, or finds the dataset of a pot that was
// started by hand. unclone destroys what clone has made, by its labels.
func (p *Pot) clone(ctx context.Context) error {
	s := p.record.Spec
	if s.Bare {
		return p.makeBare()
	}
	if s.InPlace {
		dir, err := p.host.Datasets.Dir(ctx, string(s.Name))
		p.change(func(r *record) { r.Dir = dir })
		return err
	}
	dir, err := p.host.Datasets.Clone(ctx, pot.Clone{
		Origin: s.Image, Name: string(s.Name), Labels: s.Labels, QuotaBytes: s.DiskBytes,
	})
	p.change(func(r *record) { r.Dir = dir })
	p.cloned = err == nil
	return err
}

// unclone destroys the clone, unless its labels differ from the record's: then it belongs to
// another pot. A dataset with neither labels nor a record belongs to another tool.
func (p *Pot) unclone(ctx context.Context) error {
	switch {
	case p.record.Spec.InPlace, p.record.Spec.Bare:
		return nil
	case p.cloned:
		return p.host.Datasets.Destroy(ctx, string(p.name))
	}
	labels, err := p.host.Images.Labels(ctx, string(p.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrInvalid): // the labels were lost: only a record can tell
		if p.record.Version == 0 || len(p.record.Spec.Labels) == 0 {
			return nil
		}
	case err != nil:
		return err
	case p.record.Version != 0 && !maps.Equal(labels, p.record.Spec.Labels), p.record.Version == 0 && len(labels) == 0:
		return nil
	}
	return p.host.Datasets.Destroy(ctx, string(p.name))
}

// mergeImageAttributes records the jail attributes of the image's pot.conf, as far as they
// are allowed, with the attributes of the spec.
func (p *Pot) mergeImageAttributes(ctx context.Context) error {
	if p.record.Spec.Bare {
		return nil
	}
	image, err := p.imageConf(ctx)
	if err != nil {
		return err
	}
	for _, err := range image.Invalid {
		p.note("Ignored attribute of image %s: %v", p.record.Spec.Image, err)
	}
	p.change(func(r *record) {
		r.Release = image.Release
		if r.Spec.InPlace { // only this host's operator can have set them
			r.Attributes = localAttributes(image.Attributes)
			return
		}
		r.Attributes, r.Refused = mergeAttributes(image.Attributes, r.Spec.Attributes, p.allowed)
	})
	return nil
}

// configure writes the files that differ between pots of one image: pot.conf, hosts(5) and
// resolver(5).
func (p *Pot) configure(context.Context) error {
	if p.record.Spec.Bare {
		return nil
	}
	if !p.record.Spec.InPlace {
		if err := writeConf(p.record.Dir, &p.record); err != nil {
			return err
		}
	}
	dns, missing, err := p.resolver()
	if err != nil {
		return fmt.Errorf("%s: %w", hostResolvConf, err)
	}
	if missing != "" {
		p.note("%s", missing)
	}
	s := p.record.Spec
	s.DNS = dns
	return writeEtc(p.Tree(), &s, p.record.Address)
}

// unconfigure removes this host's resolver(5) file from a dataset that stays, as pot does:
// images made from the dataset would have it. It is best effort: a tree that the pot has
// made unreachable must not stop the pot's removal.
func (p *Pot) unconfigure(context.Context) error {
	if !p.record.Spec.InPlace || p.record.Spec.DNS.Off || p.record.Dir == "" {
		return nil
	}
	root, err := os.OpenRoot(p.Tree())
	if err != nil {
		return nil
	}
	defer root.Close()
	root.Remove("etc/resolv.conf")
	return nil
}

// copyIn copies the job's files. It comes after the prestart hook, which may create them,
// and before the mounts, so that it never writes into a directory of the host.
func (p *Pot) copyIn(ctx context.Context) error {
	for _, c := range p.record.Spec.Copies {
		if err := tree.CopyIn(ctx, p.Tree(), c); err != nil {
			return fmt.Errorf("%s to %s: %w", c.Source, c.Target, err)
		}
	}
	return nil
}

// mount makes the pot's mounts. Links are followed only now: copyIn may have made some.
func (p *Pot) mount(ctx context.Context) error {
	if p.record.Spec.Bare {
		return nil
	}
	all, err := placed(mounts(&p.record.Spec, p.record.Attributes), func(target string) (string, error) {
		return tree.Resolve(p.Tree(), target)
	})
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := p.host.Mounts.Mount(ctx, p.Tree(), m); err != nil {
			err = fmt.Errorf("%s on %s: %w", m.Source, m.Target, err)
			return errors.Join(err, pot.Undo(ctx, p.unmount))
		}
	}
	return nil
}

// unmount unmounts whatever is mounted in the tree, by the host's mount table and not by
// the record: a crash may have left mounts that the record does not have.
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

// jail creates the jail, in which nothing runs yet. It comes last: a process in it finds
// its mounts, its network and its limits complete.
func (p *Pot) jail(ctx context.Context) error {
	shared := false
	if of := p.record.Spec.Of; of != "" {
		owner, err := p.Find(of)
		shared = err == nil && owner.record.Spec.Bare
	}
	err := p.host.Jails.Create(ctx, pot.Jail{
		Name:     p.name,
		Root:     p.Tree(),
		Hostname: hostname(&p.record.Spec),
		Release:  p.record.Release,
		Network:  p.record.Spec.Network,
		Stack:    p.record.Spec.Stack,
		Of:       p.record.Spec.Of,
		Shared:   shared,
		Bare:     p.record.Spec.Bare,
		Link:     p.bridgeLink(),
		Aliases:  p.record.Aliases,
		CPUs:     p.record.Spec.Limits.CPUs,

		Attributes: p.record.Attributes,
	})
	if p.record.Spec.Of != "" && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("pot %s: %w: %w", p.record.Spec.Of, ErrCannotJoin, err) // it has ended meanwhile
	}
	return err
}

// unjail kills all that runs in the jail and removes it. It comes first: a process would
// keep the mounts and the network busy.
func (p *Pot) unjail(ctx context.Context) error { return p.removeJail(ctx) }

// limit sets the limits, by the jail's name: the jail is created after them.
func (p *Pot) limit(ctx context.Context) error {
	if p.record.Spec.Bare {
		return nil // nothing runs in it
	}
	return p.host.Limits.Set(ctx, p.jailName(), p.record.Spec.Limits)
}

func (p *Pot) unlimit(ctx context.Context) error {
	return p.host.Limits.Clear(ctx, p.jailName())
}
