package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// Create creates a pot from a zfs send stream of its tree and its pot.conf, and destroys
// the snapshot that the stream has. It returns fs.ErrExist if the name is taken. After an
// error nothing of the pot is left. That snapshot belongs to the conversion, not to the
// pot: export would take it for the pot's own.
func Create(ctx context.Context, ps *life.Pots, name pot.Name, stream io.Reader) (*Pot, error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	if err := ps.Host().Images.Receive(ctx, string(name), stream); err != nil {
		return nil, taken(name, err)
	}
	return finishCreate(ctx, ps, name, func(s *Pot) error {
		_, err := s.PurgeSnapshots(ctx, true)
		return err
	})
}

// Unpack creates a pot from a tar archive of its tree and the text of its pot.conf, on a host
// with Unpack. It returns pot.ErrUnsupported on others, and fs.ErrExist if the name is taken.
// After an error nothing of the pot is left.
func Unpack(ctx context.Context, ps *life.Pots, name pot.Name, archive *os.File, potConf string) (*Pot, error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	if err := ps.Host().Unpack(ctx, string(name), archive); err != nil {
		return nil, taken(name, err)
	}
	return finishCreate(ctx, ps, name, func(s *Pot) error {
		for file, text := range map[string]string{conf.PotConf: potConf, conf.FSCompConf: ""} {
			if err := editFile(s.dir, file, true, func([]byte) ([]byte, error) { return []byte(text), nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

// taken returns err, from the creation of a dataset, as an error that names the pot if the
// dataset exists: it may be an image too.
func taken(name pot.Name, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return pot.Reword(fs.ErrExist, "pot %s already exists", name)
	}
	return err
}

// finishCreate turns a new dataset into a pot: it calls fill, and disables what is a host's
// in the crontab. If that fails, it destroys the dataset. It does so even if ctx has ended.
func finishCreate(ctx context.Context, ps *life.Pots, name pot.Name, fill func(*Pot) error) (*Pot, error) {
	s, err := Open(ctx, ps.Host(), name)
	if err == nil {
		err = ps.RemoveLogs(name) // another tool may have destroyed a pot of this name
	}
	if err == nil {
		err = fill(s)
	}
	if err == nil {
		err = s.disableHostJobs()
	}
	if err != nil {
		return nil, errors.Join(err, undoCreate(ctx, ps, name))
	}
	return s, nil
}

// undoCreate destroys the dataset of a pot that could not be created.
func undoCreate(ctx context.Context, ps *life.Pots, name pot.Name) error {
	return pot.Undo(ctx, func(ctx context.Context) error { return ps.Host().Datasets.Destroy(ctx, string(name)) })
}

// Clone creates a pot from another's tree at a snapshot, "" for its newest, and from the
// other's present settings, except its hostname, addresses and bridge. Hooks and mounts are
// approved in the clone if they are in the other. After an error nothing of the clone is
// left. On ZFS the clone shares blocks with the other pot, which cannot be destroyed before
// it.
func Clone(ctx context.Context, ps *life.Pots, name, of pot.Name, snapshot string) (_ *Pot, err error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	from, err := Open(ctx, ps.Host(), of)
	if err != nil {
		return nil, err
	}
	names, err := from.SnapshotNames(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, fmt.Errorf("pot %s: %w", of, ErrNoSnapshot)
	case snapshot == "":
		snapshot = names[len(names)-1]
	case !slices.Contains(names, snapshot):
		return nil, pot.Reword(fs.ErrNotExist, "pot %s: no such snapshot: %s", of, snapshot)
	}
	dir, err := ps.Host().Datasets.Clone(ctx, pot.Clone{Origin: string(of), Name: string(name), Snapshot: snapshot})
	if err != nil {
		return nil, taken(name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, undoCreate(ctx, ps, name))
		}
	}()
	s := &Pot{host: ps.Host(), name: name, dir: dir}
	return s, errors.Join(ps.RemoveLogs(name), s.copySettings(ctx, from))
}

// copySettings copies another pot's settings. Approval is by content and by pot: it is
// repeated for the clone, and only where the other pot has it.
func (s *Pot) copySettings(ctx context.Context, from *Pot) error {
	for _, file := range []string{conf.PotConf, conf.FSCompConf, conf.Dir + "/resolv.conf"} {
		data, err := from.read(file)
		if errors.Is(err, fs.ErrNotExist) && file != conf.PotConf {
			continue
		}
		if err == nil {
			err = editFile(s.dir, file, true, func([]byte) ([]byte, error) { return data, nil })
		}
		if err == nil && file != conf.PotConf && from.approved(ctx, file) == nil {
			err = s.approve(ctx, file, data)
		}
		if err != nil {
			return err
		}
	}
	if err := s.copyHooks(ctx, from); err != nil {
		return err
	}
	err := s.edit(func(c *conf.Lines) error {
		// An address or a bridge of two pots would be a mistake; Connect sets new ones.
		return errors.Join(c.Set("pot.attr."+readOnly), c.Set("ip"), c.Set("bridge"))
	})
	return errors.Join(err, s.Apply(ctx, SetHostname{string(s.name)}))
}

// copyHooks copies another pot's hooks.
func (s *Pot) copyHooks(ctx context.Context, from *Pot) error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, h := range conf.Hooks {
		program, err := from.readHook(h)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = life.WriteHook(root, h, program, 0o755)
		}
		if err == nil && from.approvedAs(ctx, h.File(), program) == nil {
			err = s.approve(ctx, h.File(), program)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
