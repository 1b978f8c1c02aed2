package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// A joined pot has the network of another pot: its address, its loopback and its links. It
// has no part of its own in that network. Its jail ends with the jail of the other, on
// FreeBSD because it is a child of that jail (jail(8), Hierarchical Jails).

// ErrCannotJoin is the error of a pot that joins the network of a pot that does not run, or
// has no network to share. It may run later.
var ErrCannotJoin = errors.New("it has no network that can be joined")

// joinedDir is a directory in the one of a pot whose network others have joined, with a
// file for each of them. Without it there are none, and no record need be read to know that.
const joinedDir = "joined"

// jailName returns the name of the pot's jail. For a joined pot of which neither its record
// nor the other pot says so, it is the pot's name, which is enough to remove the jail.
func (p *Pot) jailName() pot.Name { return p.record.Spec.JailName() }

// FindJail returns the jail of the pot of that name, whoever has started the pot. It returns
// fs.ErrNotExist if it has none.
func (ps *Pots) FindJail(ctx context.Context, name pot.Name) (supervise.Jail, error) {
	jail, err := ps.host.Jails.Find(ctx, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return jail, err
	}
	if p, unread := ps.Find(name); unread == nil && p.Of() != "" {
		return ps.host.Jails.Find(ctx, p.jailName())
	}
	return jail, err
}

// UsageOf returns what the pot of that name uses, whoever has started it.
func (ps *Pots) UsageOf(ctx context.Context, name pot.Name) (pot.Usage, error) {
	p, err := ps.Find(name)
	if err != nil {
		p = ps.pot(name)
	}
	return p.Usage(ctx)
}

// join gives the pot the address of the pot whose network it joins. The lock keeps that
// pot, if it is a network for others to join, from being destroyed before this one counts
// as a member: its record is written already.
func (p *Pot) join(ctx context.Context) error {
	of := p.record.Spec.Of
	unlock, err := p.Lock(ctx, of)
	if err != nil {
		return err
	}
	defer unlock()
	if p.shared != nil {
		if err := p.ensureNetwork(ctx, *p.shared); err != nil {
			return fmt.Errorf("network %s: %w", of, err)
		}
	}
	owner, err := p.CanJoin(ctx, of)
	if err != nil {
		return err
	}
	if err := owner.addMember(p.name); err != nil {
		return err
	}
	p.change(func(r *record) { r.Address, r.Network = owner.record.Address, owner.record.Network })
	return nil
}

// CanJoin returns the pot of that name if another pot can join its network now. Otherwise
// the error is ErrCannotJoin.
func (ps *Pots) CanJoin(ctx context.Context, name pot.Name) (*Pot, error) {
	owner, err := ps.Find(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("pot %s: %w: there is no such pot", name, ErrCannotJoin)
	}
	if err != nil {
		return nil, err
	}
	if mode := owner.record.Spec.Network; !mode.VNET() {
		return nil, fmt.Errorf("pot %s: %w: its network is %s, and must be %s or %s", name, ErrCannotJoin, mode, pot.PublicBridge, pot.PrivateBridge)
	}
	if _, err := ps.host.Jails.Find(ctx, owner.jailName()); err != nil {
		return nil, fmt.Errorf("pot %s: %w: it is not running: %w", name, ErrCannotJoin, err)
	}
	return owner, nil
}

// addMember writes down that a pot joins this one's network. If this pot is being
// destroyed, its directory is gone or goes with the file.
func (p *Pot) addMember(name pot.Name) error {
	dir := filepath.Join(p.dir, joinedDir)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, string(name)), nil, 0o600)
}

// joinedTo returns the pot whose network a pot has joined by joinedDir; "" if there is none.
func (ps *Pots) joinedTo(name pot.Name) pot.Name {
	found, _ := filepath.Glob(filepath.Join(ps.dir, "*", joinedDir, string(name))) // a pot's name has no pattern
	if len(found) == 0 {
		return ""
	}
	return pot.Name(filepath.Base(filepath.Dir(filepath.Dir(found[0]))))
}

// leave undoes join, once nothing is left of the pot. If it fails, joinedTo still returns the
// network, so that another Destroy of the pot tries again.
func (p *Pot) leave(ctx context.Context) error {
	of := p.record.Spec.Of
	if of == "" {
		return nil
	}
	if err := p.ReleaseNetwork(ctx, of); err != nil {
		return fmt.Errorf("network %s: %w", of, err)
	}
	err := os.Remove(filepath.Join(p.Pots.dir, string(of), joinedDir, string(p.name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// members returns the pots that have joined the network of a pot, or are about to. A pot
// whose record cannot be read is one of them if it has joined by joinedDir.
func (ps *Pots) members(of pot.Name) ([]*Pot, error) {
	names, err := ps.List()
	if err != nil {
		return nil, err
	}
	var all []*Pot
	for _, name := range names {
		p, err := ps.Find(name)
		switch {
		case err == nil && p.record.Spec.Of == of:
			all = append(all, p)
		case err != nil:
			if p := ps.Damaged(name, err, false); p.record.Spec.Of == of {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// joinedUsage returns what the pots use that have joined this one's network.
func (p *Pot) joinedUsage(ctx context.Context) (all []pot.Usage) {
	names, err := namesIn(filepath.Join(p.dir, joinedDir))
	if err != nil {
		return nil // no pot has
	}
	for name := range names {
		if u, err := p.host.Limits.Usage(ctx, pot.Jail{Name: pot.Name(name), Of: p.name}.FullName()); err == nil {
			all = append(all, u)
		}
	}
	return all
}

// removeJail removes the pot's jail, with all that runs in it, and the jails that have
// joined its network. These are removed once more in the end: a pot that is being created
// meanwhile has seen this pot's jail, or finds it gone.
func (p *Pot) removeJail(ctx context.Context) error {
	if p.record.Spec.Bare || p.recordErr != nil {
		p.endHolding(ctx)
	}
	if err := p.removeMembers(ctx); err != nil {
		return err
	}
	if err := p.host.Jails.Remove(ctx, p.jailName()); err != nil {
		return err
	}
	return p.removeMembers(ctx)
}

// removeMembers removes the jails of the pots that have joined this pot's network.
func (p *Pot) removeMembers(ctx context.Context) error {
	if _, err := os.Lstat(filepath.Join(p.dir, joinedDir)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	members, err := p.members(p.name)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range members {
		m.markKilled(p.name)
		errs = append(errs, p.host.Jails.Remove(ctx, m.jailName()))
	}
	return errors.Join(errs...)
}
