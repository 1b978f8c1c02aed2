package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// A shared network is a pot without files and without a command (pot.Spec.Bare). Other pots
// join it: the first creates it, and it is destroyed after the last. It has a jail, whose
// network they have, and a supervisor that listens on its ports.

// CreateIn is Create for a pot that joins the network of a pot for others to join. If that
// does not exist or does not work, it is created by shared first.
func (ps *Pots) CreateIn(ctx context.Context, s, shared pot.Spec) (*Pot, error) {
	if !shared.Bare || s.Of != shared.Name {
		return nil, fmt.Errorf("internal error: pot %s cannot be created in network %s", s.Name, shared.Name)
	}
	return ps.create(ctx, s, &shared)
}

// makeBare makes the empty directory that is the root of the jail.
func (p *Pot) makeBare() error {
	p.change(func(r *record) { r.Dir = p.dir })
	if err := os.Mkdir(p.Tree(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// ensureNetwork makes the shared network work. A restart of the machine leaves one without
// a jail, and a fault one without a supervisor. The caller must hold its lock.
func (p *Pot) ensureNetwork(ctx context.Context, shared pot.Spec) error {
	switch network, err := p.Find(shared.Name); {
	case errors.Is(err, fs.ErrNotExist):
	case err == nil && network.mendHolding(ctx) == nil:
		return nil
	default:
		if err := p.Pots.Destroy(ctx, shared.Name); err != nil {
			return err
		}
	}
	network, err := p.Create(ctx, shared)
	if errors.Is(err, fs.ErrExist) { // a directory without a record
		if err := p.Pots.Destroy(ctx, shared.Name); err != nil {
			return err
		}
		network, err = p.Create(ctx, shared)
	}
	if err != nil {
		return err
	}
	for _, note := range network.Notes() { // of ports; it has no user but this pot's
		p.note("%s", note)
	}
	if err := network.hold(ctx); err != nil {
		return errors.Join(err, pot.Undo(ctx, network.Destroy))
	}
	return nil
}

// hold starts the supervisor that listens on the ports of a shared network.
func (p *Pot) hold(ctx context.Context) error {
	_, err := supervise.Start(ctx, p.supervisor, supervise.Task{Dir: p.dir, Forwards: p.forwards()})
	return err
}

// mendHolding starts the supervisor of a shared network again if it has ended. It returns
// an error if the network does not work.
func (p *Pot) mendHolding(ctx context.Context) error {
	if _, err := p.host.Jails.Find(ctx, p.jailName()); err != nil {
		return err
	}
	if !p.record.Spec.Bare || p.Running() {
		return nil
	}
	if err := supervise.Clear(p.dir); err != nil {
		return err
	}
	return p.hold(ctx)
}

// endHoldingTimeout bounds the wait for a supervisor that somebody has stopped, or whose disk
// is full: it ends when it can.
const endHoldingTimeout = 5 * time.Second

// endHolding ends the supervisor of a shared network, so that the next can listen on its
// ports.
func (p *Pot) endHolding(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endHoldingTimeout)
	defer cancel()
	_ = supervise.End(ctx, p.dir) // what it holds is not the jail's
}

// MendNetwork makes a shared network work again whose supervisor has ended. It does nothing
// if there is none of that name.
func (ps *Pots) MendNetwork(ctx context.Context, name pot.Name) error {
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := ps.Find(name)
	if err != nil || !p.record.Spec.Bare || p.Running() {
		return nil // or it is damaged: the next pot that joins it makes another
	}
	return p.mendHolding(ctx)
}

// Members reports whether any pot has joined the network of the pot of that name, or is
// about to.
func (ps *Pots) Members(name pot.Name) (bool, error) {
	all, err := ps.members(name)
	return len(all) > 0, err
}

// ReleaseNetwork destroys the pot of that name if it is a shared network that no pot has
// joined. It does nothing to any other pot, nor to one whose record cannot be read.
func (ps *Pots) ReleaseNetwork(ctx context.Context, name pot.Name) error {
	if p, err := ps.Find(name); err != nil || !p.record.Spec.Bare {
		return nil
	}
	return ps.DestroyUnjoined(ctx, name)
}

// DestroyUnjoined destroys what is left of a pot, as Destroy does, if no pot has joined its
// network.
func (ps *Pots) DestroyUnjoined(ctx context.Context, name pot.Name) error {
	unlock, err := ps.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if joined, err := ps.Members(name); joined || err != nil {
		return err
	}
	return ps.Destroy(ctx, name)
}

// Bare reports whether the pot is a network for others to join.
func (p *Pot) Bare() bool { return p.record.Spec.Bare }

// Of returns the pot whose network the pot has joined; "" if it has its own.
func (p *Pot) Of() pot.Name { return p.record.Spec.Of }
