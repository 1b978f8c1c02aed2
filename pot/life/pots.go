// Package pot is the life of a pot, from nothing to nothing: a copy of an
// image's tree, what is mounted into it, its address, its jail, its limits, the
// command that runs in it, and the end of all that.
//
// What a host does in its own way stands behind Host; the order of things, and
// what is remembered of them on disk, is here, once. The package knows nothing
// of Nomad, nor where images come from.
package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/flock"
	"nomad-driver-pot/pot/network"
)

// Pots are the pots of one host. All methods may be called at the same time.
type Pots struct {
	host       pot.Host
	dir        string
	network    pot.Network
	bridges    network.Bridges
	supervisor string
	addresses  network.Addresses
	reserved   []netip.Addr
	allowed    []string // Config.AllowAttributes
}

// Open takes up the pots of host, whose records are in c.Dir. It changes nothing.
func Open(host pot.Host, c pot.Config) *Pots {
	ps := &Pots{
		host:       host,
		dir:        filepath.Join(c.Dir, "pots"),
		network:    c.Network,
		bridges:    network.Bridges{Dir: c.Bridges},
		supervisor: c.Supervisor,
		addresses:  network.Addresses{Dir: filepath.Join(c.Dir, "addresses")},
		reserved:   c.Reserved,
		allowed:    c.AllowAttributes,
	}
	ps.addresses.Known, ps.addresses.Holder, ps.addresses.Log = ps.known, ps.holder, c.Log
	return ps
}

// Host is the host that the pots are on.
func (ps *Pots) Host() pot.Host { return ps.host }

// Supervisor is the path of pot-supervisor.
func (ps *Pots) Supervisor() string { return ps.supervisor }

// Lock waits until no other process starts, stops or destroys the pot of that name by hand,
// and keeps others from doing so until unlock: they would take a pot that is half made for
// what is left of one that has ended.
func (ps *Pots) Lock(ctx context.Context, name pot.Name) (unlock func(), err error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	dir := filepath.Join(filepath.Dir(ps.dir), "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return flock.Lock(ctx, filepath.Join(dir, string(name)))
}

// Create makes a pot with nothing running in it. When that fails, what was made
// is unmade before Create returns, whatever became of ctx. A pot of that name
// is fs.ErrExist, and stays. What hooks have said is in the error.
func (ps *Pots) Create(ctx context.Context, s pot.Spec) (*Pot, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	p := ps.pot(s.Name)
	p.record = record{Version: recordVersion, Spec: s, Created: time.Now().UTC()}
	p.leaveHeldPorts()
	if err := os.MkdirAll(ps.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return nil, err
	}
	if err := p.create(ctx); err != nil {
		for _, note := range p.Notes() { // nobody else can ask for them
			err = errors.Join(err, errors.New(note))
		}
		return nil, err
	}
	return p, nil
}

// Find takes up the pot of that name, by its record. None is fs.ErrNotExist.
func (ps *Pots) Find(name pot.Name) (*Pot, error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	p := ps.pot(name)
	r, err := readRecord(p.dir)
	if err != nil {
		return nil, err
	}
	p.record = *r
	return p, nil
}

// Destroy takes away all of the pot of that name, whether it is whole, half
// made, or was never made; a record that cannot be read is no hindrance.
func (ps *Pots) Destroy(ctx context.Context, name pot.Name) error {
	if err := name.Validate(); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	p, err := ps.Find(name)
	if err != nil {
		p = ps.Damaged(name, err, false)
	}
	return p.Destroy(ctx)
}

// Damaged returns the pot of that name whose record cannot be read, which why says.
// What runs in it can be waited for, signalled, measured and stopped, and all of
// it destroyed, for none of that needs more than the name; nothing more can be
// started in it. own says that its dataset is its own, and stays.
func (ps *Pots) Damaged(name pot.Name, why error, own bool) *Pot {
	p := ps.pot(name)
	p.record.Spec.Name, p.record.Spec.InPlace = name, own
	p.recordErr = why
	return p
}

// Kill kills all that runs in the pot of that name, of which no more needs to be
// known. None is no error.
func (ps *Pots) Kill(ctx context.Context, name pot.Name) error {
	if err := name.Validate(); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	ps.pot(name).markKilled()
	return ps.host.Jails.Remove(ctx, name)
}

// List names the pots that there are records of, sorted.
func (ps *Pots) List() ([]pot.Name, error) {
	entries, err := os.ReadDir(ps.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []pot.Name
	for _, e := range entries {
		all = append(all, pot.Name(e.Name()))
	}
	return all, err
}

// Leftovers names the pots that there is a record of, or that anything on the host is
// left of, sorted; but none that was started by hand, whatever its name.
func (ps *Pots) Leftovers(ctx context.Context) ([]pot.Name, error) {
	all, err := ps.List()
	if err != nil {
		return nil, err
	}
	own := map[pot.Name]bool{}
	for _, name := range all {
		if p, err := ps.Find(name); err == nil && p.record.Spec.InPlace {
			own[name] = true
		}
	}
	var found []pot.Name
	if ps.host.Leftovers != nil {
		if found, err = ps.host.Leftovers(ctx, all); err != nil {
			return nil, err
		}
	}
	for _, name := range found {
		if name.Validate() == nil {
			all = append(all, name)
		}
	}
	all = slices.DeleteFunc(all, func(name pot.Name) bool { return own[name] })
	slices.Sort(all)
	return slices.Compact(all), nil
}

// pot is a pot of ps with no record.
func (ps *Pots) pot(name pot.Name) *Pot {
	return &Pot{Pots: ps, name: name, dir: filepath.Join(ps.dir, string(name))}
}

// Running names all pots that run: those of tasks, and any other.
func (ps *Pots) Running(ctx context.Context) ([]pot.Name, error) {
	all, err := ps.host.Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var running []pot.Name
	for _, text := range all {
		name := pot.Name(text)
		if name.Validate() != nil {
			continue
		}
		_, err := ps.host.Jails.Find(ctx, name)
		switch {
		case err == nil:
			running = append(running, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return running, nil
}
