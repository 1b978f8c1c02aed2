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
	"nomad-driver-pot/pot/potconf"
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

// Open returns the pots of host, whose records are in c.Dir. It changes nothing on the host.
func Open(host pot.Host, c potconf.Config) *Pots {
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

// Host returns the host that the pots run on.
func (ps *Pots) Host() pot.Host { return ps.host }

// Supervisor returns the path of pot-supervisor.
func (ps *Pots) Supervisor() string { return ps.supervisor }

// Lock waits until no other process starts, stops or destroys the pot of that name by hand,
// and keeps them from doing so until unlock is called: they would mistake a half-made pot
// for the leftovers of a pot that has ended.
func (ps *Pots) Lock(ctx context.Context, name pot.Name) (unlock func(), err error) {
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	dir := filepath.Join(filepath.Dir(ps.dir), "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return flock.Wait(ctx, filepath.Join(dir, string(name)))
}

// Create creates a pot with nothing running in it. If it fails, it removes what it has made
// before it returns, even if ctx has ended. If a pot of that name exists, Create returns
// fs.ErrExist and leaves that pot alone. The error includes the output of hooks.
func (ps *Pots) Create(ctx context.Context, s pot.Spec) (*Pot, error) { return ps.create(ctx, s, nil) }

// create implements Create, and CreateIn with the pot whose network the new one joins.
func (ps *Pots) create(ctx context.Context, s pot.Spec, shared *pot.Spec) (*Pot, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	p := ps.pot(s.Name)
	p.shared = shared
	p.record = record{Version: recordVersion, Spec: s, Created: time.Now().UTC()}
	p.leaveHeldPorts()
	if err := os.MkdirAll(ps.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return nil, err
	}
	if err := p.create(ctx); err != nil {
		for _, note := range p.Notes() { // the caller has no Pot to ask for them
			err = errors.Join(err, errors.New(note))
		}
		return nil, err
	}
	return p, nil
}

// Find returns the pot of that name from its record, or fs.ErrNotExist if there is no
// record.
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

// Destroy removes all parts of the pot of that name, even if it is only half made or its
// record cannot be read. It returns nil if there is no such pot.
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

// Damaged returns the pot of that name whose record cannot be read, for the reason why.
// Its command can be waited for, signalled, measured and stopped, and the pot destroyed:
// the name is enough for that. Nothing more can be started in it. inPlace is Spec.InPlace:
// Destroy keeps the dataset.
func (ps *Pots) Damaged(name pot.Name, why error, inPlace bool) *Pot {
	p := ps.pot(name)
	p.record.Spec.Name, p.record.Spec.InPlace = name, inPlace
	if of := ps.joinedTo(name); of != "" {
		p.record.Spec.Network, p.record.Spec.Of = pot.Joined, of
	}
	p.recordErr = why
	return p
}

// Kill kills all processes of the pot of that name. It needs no record, and returns nil if
// there is no such pot.
func (ps *Pots) Kill(ctx context.Context, name pot.Name) error {
	if err := name.Validate(); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	p, err := ps.Find(name)
	if err != nil {
		p = ps.Damaged(name, err, false)
	}
	p.markKilled("")
	return p.removeJail(ctx)
}

// List returns the names of the pots that have records, sorted.
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

// Leftovers returns the names of the pots that have a record or anything left on the host,
// sorted. It leaves out pots that were started by hand, whatever their names.
func (ps *Pots) Leftovers(ctx context.Context) ([]pot.Name, error) {
	all, err := ps.List()
	if err != nil {
		return nil, err
	}
	inPlace := map[pot.Name]bool{}
	for _, name := range all {
		if p, err := ps.Find(name); err == nil && p.record.Spec.InPlace {
			inPlace[name] = true
		}
	}
	found, err := ps.host.Leftovers(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, name := range found {
		if name.Validate() == nil {
			all = append(all, name)
		}
	}
	all = slices.DeleteFunc(all, func(name pot.Name) bool { return inPlace[name] })
	slices.Sort(all)
	return slices.Compact(all), nil
}

// pot returns a pot with an empty record. It reads and writes nothing.
func (ps *Pots) pot(name pot.Name) *Pot {
	return &Pot{Pots: ps, name: name, dir: filepath.Join(ps.dir, string(name))}
}

// Running returns the names of all pots that run, of tasks and others.
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
		_, err := ps.FindJail(ctx, name)
		switch {
		case err == nil:
			running = append(running, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return running, nil
}
