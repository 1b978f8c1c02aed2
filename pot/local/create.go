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

// Create makes a pot with a dataset of its own from a zfs send stream, which holds
// its tree and its pot.conf. Its snapshot does not stay. A name that is taken is
// fs.ErrExist; after an error nothing of the pot is left.
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

// Unpack makes a pot with a dataset of its own from a tar archive of its tree, on a
// host whose Unpack is not Unsupported. conf is its pot.conf. A name that is taken is fs.ErrExist; after
// an error nothing of the pot is left.
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

// takenError is a name that a pot or an image has already: fs.ErrExist.
type takenError pot.Name

func (e takenError) Error() string { return fmt.Sprintf("pot %s already exists", string(e)) }

func (e takenError) Is(target error) bool { return target == fs.ErrExist }

// taken returns err of making a dataset of that name, as what a user knows it by.
func taken(name pot.Name, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return takenError(name)
	}
	return err
}

// finishOwn makes a new dataset a pot's: it does what is particular to how the dataset
// was made, and adapts the pot's crontab. If that fails, the dataset is destroyed.
func finishCreate(ctx context.Context, ps *life.Pots, name pot.Name, particular func(*Pot) error) (*Pot, error) {
	s, err := Open(ctx, ps.Host(), name)
	if err == nil {
		err = particular(s)
	}
	if err == nil {
		err = s.disableHostJobs()
	}
	if err != nil {
		return nil, errors.Join(err, undoCreate(ctx, ps, name))
	}
	return s, nil
}

// undoOwn takes away the dataset of a pot that could not be made.
func undoCreate(ctx context.Context, ps *life.Pots, name pot.Name) error {
	return pot.Undo(ctx, func(ctx context.Context) error { return ps.Host().Datasets.Destroy(ctx, string(name)) })
}

// Clone makes a pot of another as it was at a snapshot, "" for its newest. It has
// the other's settings as they are now, but its name and how it is connected; hooks and
// mounts only as far as they were the operator's. After an error nothing of it is left.
func Clone(ctx context.Context, ps *life.Pots, name, of pot.Name, snapshot string) (_ *Pot, err error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	from, err := Open(ctx, ps.Host(), of)
	if err != nil {
		return nil, err
	}
	names, err := from.snapshotNames(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, fmt.Errorf("pot %s: %w", of, ErrNoSnapshot)
	case snapshot == "":
		snapshot = names[len(names)-1]
	case !slices.Contains(names, snapshot):
		return nil, fmt.Errorf("pot %s: no snapshot %s: %w", of, snapshot, fs.ErrNotExist)
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
	return s, s.copySettings(ctx, from)
}

// takeOver copies another pot's settings.
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
		return errors.Join(c.Set("pot.attr."+readOnly), c.Set("ip"), c.Set("bridge"))
	})
	return errors.Join(err, s.Apply(ctx, SetHostname{string(s.name)}))
}

// takeOverHooks copies another pot's programs for the host.
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
