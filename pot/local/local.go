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

// Pot is the dataset of a pot that is kept by hand: its pot.conf and fscomp.conf, its hooks
// and its tree. The pot need not run. It can be used by several goroutines and processes: a
// lock in the dataset orders changes of its files.
type Pot struct {
	host pot.Host
	name pot.Name
	dir  string // of its dataset

	owned bool // the dataset has no image labels
}

// A Change is a change of a pot's settings or files. There is one type for each of pot's
// commands that makes one, with the rules of that command. Validate needs no host, so that
// a command can report every mistake before it changes anything.
type Change interface {
	// Validate returns what is wrong with the change for any pot, led by the command's
	// option.
	Validate() error

	apply(ctx context.Context, s *Pot) error
}

// ErrTaskPot is returned for a pot of a Nomad task, which nobody may change by hand.
var ErrTaskPot = errors.New("belongs to a Nomad task, and only Nomad can change it")

// Open opens the pot of that name. It returns fs.ErrNotExist if there is none. An image is
// such a pot too, until it is changed: see Apply.
func Open(ctx context.Context, host pot.Host, name pot.Name) (*Pot, error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	dir, err := host.Datasets.Dir(ctx, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pot.Reword(fs.ErrNotExist, "no such pot: %s", name)
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

// knownLabels returns a dataset's labels. It returns none if they are damaged. A pot with
// damaged labels can still be stopped and destroyed.
func knownLabels(ctx context.Context, host pot.Host, name pot.Name) (map[string]string, error) {
	labels, err := host.Images.Labels(ctx, string(name))
	if errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	return labels, err
}

// Name returns the pot's name.
func (s *Pot) Name() pot.Name { return s.name }

// Apply validates and makes a change. All but CopyOut change the dataset: it is no verified
// image from then on.
func (s *Pot) Apply(ctx context.Context, change Change) error {
	if err := change.Validate(); err != nil {
		return err
	}
	if _, reads := change.(CopyOut); !reads {
		if err := s.clearImageLabels(ctx); err != nil {
			return err
		}
	}
	return change.apply(ctx, s)
}

// ErrCloned is returned for a change of an image that pots have been cloned from.
var ErrCloned = errors.New("is an image that pots are cloned from, and cannot be changed")

// isImage reports whether labels mark a verified image, which pots are cloned from.
func isImage(labels map[string]string) bool {
	return labels[conf.LabelRef] != "" || labels[conf.LabelDigest] != ""
}

// clearImageLabels unmarks a verified image before it is changed: its digest no longer says
// what it holds. It returns ErrCloned if pots have been cloned from it.
func (s *Pot) clearImageLabels(ctx context.Context) error {
	if s.owned {
		return nil
	}
	labels, err := knownLabels(ctx, s.host, s.name)
	if err != nil {
		return err
	}
	if labels[conf.LabelImported] != "" { // a pot that a person imported: tasks start from its snapshot
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

// Conf returns the pot's pot.conf, line by line.
func (s *Pot) Conf() (*conf.Lines, error) {
	data, err := s.read(conf.PotConf)
	if err != nil {
		return nil, err
	}
	return conf.ParseLines(data)
}

// ReadConf returns what the pot's pot.conf says of the pot.
func (s *Pot) ReadConf() (conf.Image, error) {
	data, err := s.read(conf.PotConf)
	if err != nil {
		return conf.Image{}, err
	}
	return conf.Read(bytes.NewReader(data))
}

// Mounts returns the lines of the pot's fscomp.conf; none if it has no such file.
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

// read returns a file of the dataset, which an image may have made: conf.ReadFile follows
// no link out of it and has a bound.
func (s *Pot) read(name string) ([]byte, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return conf.ReadFile(root, name)
}

// edit has change change the pot's pot.conf, under the dataset's lock. pot.conf keeps its
// order, its comments and unknown keys.
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

// Running reports whether the pot's jail exists. The jail may have been created by pot's
// own scripts.
func (s *Pot) Running(ctx context.Context) (bool, error) {
	_, err := s.host.Jails.Find(ctx, s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// stopped returns ErrRunning if the pot runs.
func (s *Pot) stopped(ctx context.Context) error {
	running, err := s.Running(ctx)
	if err == nil && running {
		err = fmt.Errorf("pot %s: %w", s.name, ErrRunning)
	}
	return err
}

// ErrRunning is returned for a pot that must be stopped first.
var ErrRunning = errors.New("is running")
