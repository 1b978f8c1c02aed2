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

// Destroy destroys a pot: its dataset with all snapshots, its addresses and its logs. If the pot
// runs, Destroy stops it before, or returns ErrRunning if stop is false. The dataset goes
// before the addresses: after a failure the pot still has them.
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
	return errors.Join(ps.ReleaseAddresses(name), ps.RemoveLogs(name))
}

// Rename renames a pot, which must not run, and changes the dependencies of other pots on
// it. The hostname changes if it was the pot's name. The pot's address is claimed under its
// new name by the next start. If changing a dependency fails, the pot already has its new
// name.
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
	if err := errors.Join(ps.ReleaseAddresses(from), ps.RenameLogs(from, to)); err != nil { // pot.conf keeps the address
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

// renameDeps changes the dependencies of all pots on from into dependencies on to.
func renameDeps(ctx context.Context, ps *life.Pots, jails string, from, to pot.Name) error {
	names, err := List(ctx, ps)
	if err != nil {
		return err
	}
	for _, name := range names {
		s := &Pot{host: ps.Host(), name: name, dir: filepath.Join(jails, string(name))}
		potConf, err := s.Conf()
		if err != nil {
			continue // another tool made it: it has no pot.conf that can be read
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

// List returns the names of pots and images, sorted. It leaves out pots of tasks. It reads
// the labels of each: a dataset that is destroyed meanwhile is left out.
func List(ctx context.Context, ps *life.Pots) ([]pot.Name, error) {
	names, err := ps.Host().Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []pot.Name
	for _, text := range names {
		name := pot.Name(text)
		if name.Validate() != nil || text[0] == '_' { // conf.ImportPrefix: an import that is not finished
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
