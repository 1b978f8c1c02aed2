package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"nomad-driver-pot/pot"
)

// The steps that connect a pot: its addresses, its links to bridges or its addresses on the
// host's interfaces, and its published ports.

// allocateAddress allocates the pot's address, or claims the one that the spec asks for. A
// network mode without an address of the pot's own has nothing to allocate.
func (p *Pot) allocateAddress(ctx context.Context) (err error) {
	s := &p.record.Spec
	switch {
	case s.Network == pot.Joined:
		return p.join(ctx)
	case s.Network == pot.Alias:
		return p.claimAliases()
	case s.Network == pot.PrivateBridge, s.Network == pot.PublicBridge && s.Stack.Has4():
	default:
		return nil
	}
	network, err := p.networkOf(s.Network, s.Bridge)
	if err != nil {
		return err
	}
	others, err := p.addressesInUse(ctx, s.Image, s.Network)
	if err != nil {
		return err
	}
	p.change(func(r *record) { r.Network = network })
	if s.Address.IsValid() {
		return p.claimRequested()
	}
	addr, err := p.addresses.Allocate(ctx, p.name, network, others)
	p.change(func(r *record) { r.Address = addr })
	return err
}

// networkOf returns the network of the public bridge, or of a private one.
func (ps *Pots) networkOf(mode pot.NetworkMode, bridge string) (pot.Network, error) {
	if mode == pot.PrivateBridge {
		return ps.bridges.Find(bridge)
	}
	return ps.network, nil
}

// AllocateAddress allocates an address on a bridge to a pot that does not run: want, or a
// free one if want is not valid. It stays allocated until the pot, whose pot.conf keeps it,
// has been started and stopped, or is destroyed. It returns fs.ErrExist if want is in use.
func (ps *Pots) AllocateAddress(ctx context.Context, name pot.Name, mode pot.NetworkMode, bridge string, want netip.Addr) (netip.Addr, error) {
	network, err := ps.networkOf(mode, bridge)
	if err != nil {
		return netip.Addr{}, err
	}
	others, err := ps.addressesInUse(ctx, string(name), mode)
	switch {
	case err != nil:
		return netip.Addr{}, err
	case !want.IsValid():
		return ps.addresses.Allocate(ctx, name, network, others)
	case !network.Hosts(want):
		return netip.Addr{}, errNotInNetwork(want, network)
	case others.Has(want):
		return netip.Addr{}, fmt.Errorf("address %s: in use: %w", want, fs.ErrExist)
	}
	return want, ps.addresses.Claim(want, name)
}

func errNotInNetwork(addr netip.Addr, n pot.Network) error {
	return fmt.Errorf("address %s: not available to pots in network %s", addr, n.Prefix)
}

// ReleaseAddress releases an address of the pot of that name. It may be called twice.
func (ps *Pots) ReleaseAddress(name pot.Name, addr netip.Addr) error {
	return ps.addresses.Release(addr, name)
}

// ReleaseAddresses releases all addresses of the pot of that name. It may be called twice.
func (ps *Pots) ReleaseAddresses(name pot.Name) error { return ps.addresses.ReleaseByOwner(name) }

// claimRequested claims the address on a bridge that the spec asks for.
func (p *Pot) claimRequested() error {
	addr := p.record.Spec.Address
	if !p.record.Network.Hosts(addr) {
		return errNotInNetwork(addr, p.record.Network)
	}
	if err := p.addresses.Claim(addr, p.name); err != nil {
		return err
	}
	p.change(func(r *record) { r.Address = addr })
	return nil
}

// claimAliases claims the addresses on the host's interfaces that the spec asks for.
func (p *Pot) claimAliases() error {
	for _, a := range p.record.Spec.Aliases {
		if err := p.addresses.Claim(a.Addr, p.name); err != nil {
			return errors.Join(err, p.addresses.ReleaseByOwner(p.name))
		}
	}
	p.change(func(r *record) { r.Address = r.Spec.Aliases[0].Addr })
	return nil
}

// releaseAddress releases all addresses of a pot that has several, or of which the record
// knows none.
func (p *Pot) releaseAddress(context.Context) error {
	if p.record.Spec.Network == pot.Joined {
		return nil
	}
	addr := p.record.Address
	if !addr.IsValid() || len(p.record.Spec.Aliases) > 0 {
		return p.addresses.ReleaseByOwner(p.name)
	}
	return p.addresses.Release(addr, p.name)
}

// bridgeLink returns the pot's link to its bridge; the zero Link if it has none.
func (p *Pot) bridgeLink() pot.Link {
	s := &p.record.Spec
	if !s.Network.VNET() {
		return pot.Link{}
	}
	l := pot.Link{Pot: p.name, Bridge: s.Bridge, IPv6: s.Stack.Has6()}
	if p.record.Address.IsValid() {
		l.Address = netip.PrefixFrom(p.record.Address, p.record.Network.Prefix.Bits())
		l.Gateway = p.record.Network.Gateway
	}
	return l
}

// link attaches the pot to its bridge, or adds its addresses to the host's interfaces. It
// needs nothing of the clone and is made beside it.
func (p *Pot) link(ctx context.Context) error {
	switch {
	case p.record.Spec.Network.VNET():
		return p.host.Links.Attach(ctx, p.bridgeLink())
	case p.record.Spec.Network == pot.Alias:
		err := p.addAliases(ctx)
		if err != nil {
			err = errors.Join(err, pot.Undo(ctx, p.removeAliases))
		}
		return err
	}
	return nil
}

// addAliases adds the pot's addresses to the host's interfaces. An address that an interface
// already has belongs to the operator, and stays when the pot is destroyed. Any other is
// recorded before it is added, so that a crash does not leave it behind.
func (p *Pot) addAliases(ctx context.Context) error {
	for _, a := range p.record.Spec.Aliases {
		on, exists, err := p.host.Aliases.Find(ctx, a)
		if err != nil {
			return err
		}
		p.change(func(r *record) {
			r.Aliases = append(r.Aliases, on)
			if !exists {
				r.Added = append(r.Added, on)
			}
		})
		if exists {
			continue
		}
		if err := p.save(); err != nil {
			return err
		}
		if err := p.host.Aliases.Add(ctx, on); err != nil {
			return err
		}
	}
	return nil
}

// removeAliases removes the addresses that addAliases has added. It tries all of them.
func (p *Pot) removeAliases(ctx context.Context) error {
	var errs []error
	for _, a := range p.record.Added {
		errs = append(errs, p.host.Aliases.Remove(ctx, a))
	}
	return errors.Join(errs...)
}

// unlink undoes link. Detach finds a link by the pot's name, so that a lost record does not
// matter.
func (p *Pot) unlink(ctx context.Context) error {
	if len(p.record.Added) > 0 {
		return p.removeAliases(ctx)
	}
	return p.host.Links.Detach(ctx, p.name)
}

// publish records the name of the pot's redirects, and publishes its ports.
func (p *Pot) publish(ctx context.Context) error {
	if len(p.record.Spec.Ports) == 0 {
		return nil
	}
	anchor := p.host.Redirects.Anchor(p.name)
	p.change(func(r *record) { r.Anchor = anchor })
	if err := p.save(); err != nil {
		return err
	}
	return p.host.Redirects.Publish(ctx, p.redirect())
}

// withdraw removes the pot's redirects. A pot whose record cannot be read (Version 0) may
// have some.
func (p *Pot) withdraw(ctx context.Context) error {
	if p.record.Version != 0 && !p.record.Spec.Network.VNET() {
		return nil
	}
	return p.host.Redirects.Withdraw(ctx, p.redirect())
}

// redirect returns the redirects of the pot, as far as its record can be read.
func (p *Pot) redirect() pot.Redirect {
	r := &p.record
	return pot.Redirect{
		Pot: p.name, To: r.Address, Ports: r.Spec.Ports, Anchor: r.Anchor,
		Unpublished: r.Version != 0 && len(r.Spec.Ports) == 0,
	}
}
