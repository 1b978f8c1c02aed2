package pot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// DestroyOwn takes away a pot with a dataset of its own, with all that there is of it.
// One that runs is ErrRunning, unless it is to be stopped before.
func (ps *Pots) DestroyOwn(ctx context.Context, name Name, stop bool, o StartOptions) error {
	s, err := OpenSettings(ctx, ps.Host(), name)
	if err != nil {
		return err
	}
	if stop {
		if _, err := ps.StopOwn(ctx, name, o); err != nil {
			return err
		}
	}
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if p, err := ps.findOwn(ctx, name); err != nil || p != nil {
		if err == nil {
			err = ErrRunning
		}
		return fmt.Errorf("pot %s: %w", name, err)
	}
	if err := ps.Host().Datasets.Destroy(ctx, string(s.name)); err != nil {
		return fmt.Errorf("pot %s: %w", name, err)
	}
	return ps.ReleaseAddresses(name)
}

// RenameOwn gives a pot that does not run another name, which other pots' dependencies
// on it then have too.
func (ps *Pots) RenameOwn(ctx context.Context, from, to Name) error {
	if err := to.Validate(); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	s, err := OpenSettings(ctx, ps.Host(), from)
	if err != nil {
		return err
	}
	if err := s.stopped(ctx); err != nil {
		return err
	}
	conf, err := s.Conf()
	if err != nil {
		return fmt.Errorf("pot %s: %w", from, err)
	}
	if err := ps.Host().Images.Rename(ctx, string(from), string(to)); err != nil {
		return err
	}
	if err := ps.ReleaseAddresses(from); err != nil { // pot.conf has it
		return err
	}
	if s, err = OpenSettings(ctx, ps.Host(), to); err != nil {
		return err
	}
	if conf.Value("host.hostname") == string(from) {
		if err := s.Set(ctx, SetHostname{string(to)}); err != nil {
			return err
		}
	}
	return ps.renameDeps(ctx, filepath.Dir(s.dir), from, to)
}

// renameDeps has all pots that depend on from depend on to.
func (ps *Pots) renameDeps(ctx context.Context, jails string, from, to Name) error {
	names, err := ps.Own(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		s := &Settings{host: ps.Host(), name: name, dir: filepath.Join(jails, string(name))}
		conf, err := s.Conf()
		if err != nil {
			continue // of another's making
		}
		deps := conf.Values("pot.depend")
		changed := false
		for i, d := range deps {
			if d == string(from) {
				deps[i], changed = string(to), true
			}
		}
		if changed {
			if err := s.edit(func(c *ConfLines) error { return c.Set("pot.depend", deps...) }); err != nil {
				return fmt.Errorf("pot %s, which depends on %s: %w", name, from, err)
			}
		}
	}
	return nil
}

// Own names the pots that have a dataset of their own, and images: all that are no
// task's, sorted.
func (ps *Pots) Own(ctx context.Context) ([]Name, error) {
	names, err := ps.Host().Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []Name
	for _, text := range names {
		name := Name(text)
		if name.Validate() != nil || text[0] == '_' { // one that is being imported
			continue
		}
		labels, err := knownLabels(ctx, ps.Host(), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if labels[LabelTask] == "" {
			all = append(all, name)
		}
	}
	return all, nil
}
