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

// Addresses gives out the addresses of networks. There is one file for each that is
// taken, which no other process can make as well.
type Addresses struct {
	Dir string // ADDRESS: a file that holds the pot's name; "last-NETWORK": the newest

	// known reports whether there is a pot of that name, and holder names the pot, other
	// than one, that has an address by what else is known of it, "" if none does: a crash
	// may leave a file empty, or cut. Both may be nil. log may be nil too.
	Known  func(pot.Name) bool
	Holder func(addr netip.Addr, other pot.Name) pot.Name
	Log    func(message string)

	mu sync.Mutex // keeps this process from racing itself; others find the file there
}

// lastFile holds the address of a network that was given out last.
func lastFile(n pot.Network) string {
	return fmt.Sprintf("last-%s-%d", n.Prefix.Addr(), n.Prefix.Bits())
}

// InUse are addresses that must not be allocated.
type InUse struct {
	Addrs    map[netip.Addr]bool
	Networks []netip.Prefix
}

func (t InUse) Has(addr netip.Addr) bool {
	for _, n := range t.Networks {
		if n.Contains(addr) {
			return true
		}
	}
	return t.Addrs[addr]
}

// Allocate gives owner an address of n, going round so that one that was given back is
// not in use again at once: neighbours, pf states and registrations of its
// previous owner may still be about (pot-reference 10.7). None of others is given.
func (a *Addresses) Allocate(ctx context.Context, pot pot.Name, n pot.Network, others InUse) (netip.Addr, error) {
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
			if ok, err = a.reserve(addr, pot); err != nil {
				return netip.Addr{}, err
			}
		}
		if ok {
			if err := os.WriteFile(filepath.Join(a.Dir, lastFile(n)), []byte(addr.String()), 0o600); err != nil {
				return netip.Addr{}, errors.Join(err, a.Release(addr, pot))
			}
			return addr, nil
		}
		if addr = after(n, addr); addr == begin {
			return netip.Addr{}, fmt.Errorf("no address is free in %s", n.Prefix)
		}
	}
}

// Claim takes the one address that is asked for, or keeps it. Another pot's is
// fs.ErrExist.
func (a *Addresses) Claim(addr netip.Addr, pot pot.Name) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return err
	}
	ok, err := a.reserve(addr, pot)
	if err != nil || ok {
		return err
	}
	owner, err := a.owner(addr, pot)
	if err != nil || owner == pot {
		return err
	}
	return fmt.Errorf("address %s: pot %q has it: %w", addr, owner, fs.ErrExist)
}

// after is the next address that a pot may have.
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

// last is the address given out last, or where to begin.
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

// All are those that pots have.
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

// ReleaseByOwner releases whatever owner has: what to do when its record is lost.
func (a *Addresses) ReleaseByOwner(pot pot.Name) error {
	all, err := a.All()
	for _, addr := range all {
		err = errors.Join(err, a.Release(addr, pot))
	}
	return err
}
