package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// Destroy destroys a pot with a dataset of its own, with all that there is of it.
// One that runs is ErrRunning, unless it is to be stopped before.
func Destroy(ctx context.Context, ps *life.Pots, name pot.Name, stop bool, o StartOptions) error {
	s, err := Open(ctx, ps.Host(), name)
	if err != nil {
		return err
	}
	if stop {
		if _, err := Stop(ctx, ps, name, o); err != nil {
			return err
		}
	}
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if p, err := findRunning(ctx, ps, name); err != nil || p != nil {
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

// Rename gives a pot that does not run another name, which other pots' dependencies
// on it then have too.
func Rename(ctx context.Context, ps *life.Pots, from, to pot.Name) error {
	if err := to.Validate(); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	s, err := Open(ctx, ps.Host(), from)
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
	if s, err = Open(ctx, ps.Host(), to); err != nil {
		return err
	}
	if conf.Value("host.hostname") == string(from) {
		if err := s.Apply(ctx, SetHostname{string(to)}); err != nil {
			return err
		}
	}
	return renameDeps(ctx, ps, filepath.Dir(s.dir), from, to)
}

// renameDeps has all pots that depend on from depend on to.
func renameDeps(ctx context.Context, ps *life.Pots, jails string, from, to pot.Name) error {
	names, err := List(ctx, ps)
	if err != nil {
		return err
	}
	for _, name := range names {
		s := &Pot{host: ps.Host(), name: name, dir: filepath.Join(jails, string(name))}
		potConf, err := s.Conf()
		if err != nil {
			continue // of another's making
		}
		deps := potConf.Values("pot.depend")
		changed := false
		for i, d := range deps {
			if d == string(from) {
				deps[i], changed = string(to), true
			}
		}
		if changed {
			if err := s.edit(func(c *conf.Lines) error { return c.Set("pot.depend", deps...) }); err != nil {
				return fmt.Errorf("pot %s, which depends on %s: %w", name, from, err)
			}
		}
	}
	return nil
}

// List names the pots that have a dataset of their own, and images: all that are no
// task's, sorted.
func List(ctx context.Context, ps *life.Pots) ([]pot.Name, error) {
	names, err := ps.Host().Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []pot.Name
	for _, text := range names {
		name := pot.Name(text)
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
		if labels[conf.LabelTask] == "" {
			all = append(all, name)
		}
	}
	return all, nil
}
