package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// Pot is what a pot that has a name of its own is made up of, on disk: its
// pot.conf and fscomp.conf, its hooks, its tree. Tasks' pots have none: theirs are
// in their jobs.
type Pot struct {
	host pot.Host
	name pot.Name
	dir  string // of its dataset

	owned bool // its dataset is nobody's image, and nothing makes it one
}

// A Setting is a change of a pot's settings: one type for each of pot's commands
// that make one, with the rules of that command.
type Change interface {
	// Validate returns what is wrong with it, whatever pot it is for.
	Validate() error

	set(ctx context.Context, s *Pot) error
}

// ErrTaskPot is a pot that is a task's of Nomad's, and not to be changed by hand.
var ErrTaskPot = errors.New("is of a task of Nomad's, which alone changes it")

// Open opens the pot of that name. None of that name is
// fs.ErrNotExist.
func Open(ctx context.Context, host pot.Host, name pot.Name) (*Pot, error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	dir, err := host.Datasets.Dir(ctx, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no pot %s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("pot %s: %w", name, err)
	}
	labels, err := knownLabels(ctx, host, name)
	if err != nil {
		return nil, fmt.Errorf("pot %s: %w", name, err)
	}
	if labels[conf.LabelTask] != "" {
		return nil, fmt.Errorf("pot %s: %w", name, ErrTaskPot)
	}
	return &Pot{host: host, name: name, dir: dir, owned: !isImage(labels) && labels[conf.LabelImported] == ""}, nil
}

// knownLabels are a dataset's labels. Those that were lost are none.
func knownLabels(ctx context.Context, host pot.Host, name pot.Name) (map[string]string, error) {
	labels, err := host.Images.Labels(ctx, string(name))
	if errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	return labels, err
}

// Name is the pot's.
func (s *Pot) Name() pot.Name { return s.name }

// Apply makes a change, if it is valid.
func (s *Pot) Apply(ctx context.Context, setting Change) error {
	if err := setting.Validate(); err != nil {
		return err
	}
	if _, looks := setting.(CopyOut); !looks {
		if err := s.clearImageLabels(ctx); err != nil {
			return err
		}
	}
	return setting.set(ctx, s)
}

// ErrCloned is an image that pots have been cloned from.
var ErrCloned = errors.New("is an image that pots are cloned from, and stays what it is")

// isImage reports whether labels are those of an image, which pots are cloned from.
func isImage(labels map[string]string) bool {
	return labels[conf.LabelRef] != "" || labels[conf.LabelDigest] != ""
}

// own makes the pot's dataset nobody's image, before it is changed: what has been
// verified is not what it will be. One that pots are cloned from stays.
func (s *Pot) clearImageLabels(ctx context.Context) error {
	if s.owned {
		return nil
	}
	labels, err := knownLabels(ctx, s.host, s.name)
	if err != nil {
		return err
	}
	if labels[conf.LabelImported] != "" { // of a pot: tasks are cloned from its snapshot
		if err := s.host.Images.SetLabels(ctx, string(s.name), map[string]string{conf.LabelImported: "", conf.LabelSources: ""}); err != nil {
			return err
		}
	}
	if !isImage(labels) {
		s.owned = true
		return nil
	}
	idle, err := s.host.Images.Idle(ctx, conf.LabelRef)
	if err != nil {
		return err
	}
	if !slices.Contains(idle, string(s.name)) {
		return fmt.Errorf("%s: %w", s.name, ErrCloned)
	}
	return s.host.Images.SetLabels(ctx, string(s.name), map[string]string{conf.LabelRef: "", conf.LabelDigest: "", conf.LabelSources: ""})
}

// Conf is the pot's pot.conf.
func (s *Pot) Conf() (*conf.Lines, error) {
	data, err := s.read(conf.PotConf)
	if err != nil {
		return nil, err
	}
	return conf.ParseLines(data)
}

// ReadConf is Conf, as a pot is made by it.
func (s *Pot) ReadConf() (conf.Image, error) {
	data, err := s.read(conf.PotConf)
	if err != nil {
		return conf.Image{}, err
	}
	return conf.Read(bytes.NewReader(data))
}

// Mounts are what the pot's fscomp.conf says.
func (s *Pot) Mounts() ([]conf.FSMount, error) {
	data, err := s.read(conf.FSCompConf)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return conf.ParseFSMounts(data)
}

func (s *Pot) read(name string) ([]byte, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return conf.ReadFile(root, name)
}

// edit changes the pot's pot.conf.
func (s *Pot) edit(change func(c *conf.Lines) error) error {
	return editFile(s.dir, conf.PotConf, false, func(data []byte) ([]byte, error) {
		c, err := conf.ParseLines(data)
		if err != nil {
			return nil, err
		}
		if err := change(c); err != nil {
			return nil, err
		}
		return c.Bytes(), nil
	})
}

// Running tells whether the pot's jail is there.
func (s *Pot) Running(ctx context.Context) (bool, error) {
	_, err := s.host.Jails.Find(ctx, s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// stopped is an error for a pot that runs.
func (s *Pot) stopped(ctx context.Context) error {
	running, err := s.Running(ctx)
	if err == nil && running {
		err = fmt.Errorf("pot %s: %w", s.name, ErrRunning)
	}
	return err
}

// ErrRunning is a pot that must be stopped first.
var ErrRunning = errors.New("is running")
