package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"nomad-driver-pot/pot"
)

// Addresses allocates addresses to pots. There is one file for each address in use, which only
// one process can create. Its methods can be called concurrently, by several processes too.
type Addresses struct {
	// Dir holds a file ADDRESS with the name of its owner for each address in use, and a file
	// last-NETWORK with the address that was allocated last in each network.
	Dir string

	// Known reports whether there is a pot of that name. Holder returns the pot, other than
	// other, that has an address according to its record, "" if none has. They decide who owns
	// an address whose file a crash has left empty or cut. Log receives warnings. All three
	// may be nil.
	Known  func(pot.Name) bool
	Holder func(addr netip.Addr, other pot.Name) pot.Name
	Log    func(message string)

	mu sync.Mutex // within this process; the files exclude other processes
}

// lastFile returns the name of the file with the address that was allocated last in n.
func lastFile(n pot.Network) string {
	return fmt.Sprintf("last-%s-%d", n.Prefix.Addr(), n.Prefix.Bits())
}

// InUse are addresses that must not be allocated, although Addresses has no file for them.
type InUse struct {
	Addrs    map[netip.Addr]bool
	Networks []netip.Prefix
}

// Has reports whether addr must not be allocated.
func (t InUse) Has(addr netip.Addr) bool {
	for _, n := range t.Networks {
		if n.Contains(addr) {
			return true
		}
	}
	return t.Addrs[addr]
}

// Allocate allocates an address of n, which is not in others, to owner. It goes round the
// network, so that a released address is not in use again at once: ARP entries, pf states and
// service registrations of its previous owner may still exist.
func (a *Addresses) Allocate(ctx context.Context, owner pot.Name, n pot.Network, others InUse) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return netip.Addr{}, err
	}
	begin := after(n, a.last(n))
	for addr := begin; ; {
		if err := ctx.Err(); err != nil {
			return netip.Addr{}, err
		}
		ok := false
		if !others.Has(addr) {
			var err error
			if ok, err = a.reserve(addr, owner); err != nil {
				return netip.Addr{}, err
			}
		}
		if ok {
			if err := os.WriteFile(filepath.Join(a.Dir, lastFile(n)), []byte(addr.String()), 0o600); err != nil {
				return netip.Addr{}, errors.Join(err, a.Release(addr, owner))
			}
			return addr, nil
		}
		if addr = after(n, addr); addr == begin {
			return netip.Addr{}, fmt.Errorf("no address is free in %s", n.Prefix)
		}
	}
}

// Claim allocates addr to owner. It returns nil if owner has it already, and fs.ErrExist if
// another pot has it.
func (a *Addresses) Claim(addr netip.Addr, owner pot.Name) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return err
	}
	ok, err := a.reserve(addr, owner)
	if err != nil || ok {
		return err
	}
	holder, err := a.holder(addr, owner)
	if err != nil || holder == owner {
		return err
	}
	return fmt.Errorf("address %s: pot %q has it: %w", addr, holder, fs.ErrExist)
}

// after returns the next address after addr in n that a pot may have, from the end on to the
// beginning.
func after(n pot.Network, addr netip.Addr) netip.Addr {
	for {
		addr = addr.Next()
		if !n.Prefix.Contains(addr) || addr == n.Broadcast() {
			addr = n.Prefix.Addr().Next()
		}
		if addr != n.Gateway {
			return addr
		}
	}
}

// last returns the address that was allocated last in n, or the network's own address if none was.
func (a *Addresses) last(n pot.Network) netip.Addr {
	data, err := os.ReadFile(filepath.Join(a.Dir, lastFile(n)))
	if err == nil {
		addr, err := netip.ParseAddr(strings.TrimSpace(string(data)))
		if err == nil && n.Prefix.Contains(addr) {
			return addr
		}
	}
	return n.Prefix.Addr()
}

// All returns all addresses that pots have.
func (a *Addresses) All() (all []netip.Addr, err error) {
	entries, err := os.ReadDir(a.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if addr, err := netip.ParseAddr(e.Name()); err == nil {
			all = append(all, addr)
		}
	}
	return all, nil
}

// ReleaseByOwner releases all addresses of owner, whose record may be lost.
func (a *Addresses) ReleaseByOwner(owner pot.Name) error {
	all, err := a.All()
	for _, addr := range all {
		err = errors.Join(err, a.Release(addr, owner))
	}
	return err
}
