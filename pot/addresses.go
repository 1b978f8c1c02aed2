package pot

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
)

// addresses gives out the addresses of networks. There is one file for each that is
// taken, which no other process can make as well.
type addresses struct {
	dir string // ADDRESS: a file that holds the pot's name; "last-NETWORK": the newest

	// known reports whether there is a pot of that name, and holder names the pot, other
	// than one, that has an address by what else is known of it, "" if none does: a crash
	// may leave a file empty, or cut. Both may be nil. log may be nil too.
	known  func(Name) bool
	holder func(addr netip.Addr, other Name) Name
	log    func(message string)

	mu sync.Mutex // keeps this process from racing itself; others find the file there
}

// lastFile holds the address of a network that was given out last.
func lastFile(n Network) string {
	return fmt.Sprintf("last-%s-%d", n.Prefix.Addr(), n.Prefix.Bits())
}

// inUse are addresses that must not be allocated.
type inUse struct {
	addrs    map[netip.Addr]bool
	networks []netip.Prefix
}

func (t inUse) has(addr netip.Addr) bool {
	for _, n := range t.networks {
		if n.Contains(addr) {
			return true
		}
	}
	return t.addrs[addr]
}

// take gives pot an address of n, going round so that one that was given back is
// not in use again at once: neighbours, pf states and registrations of its
// previous owner may still be about (pot-reference 10.7). None of others is given.
func (a *addresses) take(ctx context.Context, pot Name, n Network, others inUse) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return netip.Addr{}, err
	}
	begin := n.after(a.last(n))
	for addr := begin; ; {
		if err := ctx.Err(); err != nil {
			return netip.Addr{}, err
		}
		ok := false
		if !others.has(addr) {
			var err error
			if ok, err = a.reserve(addr, pot); err != nil {
				return netip.Addr{}, err
			}
		}
		if ok {
			if err := os.WriteFile(filepath.Join(a.dir, lastFile(n)), []byte(addr.String()), 0o600); err != nil {
				return netip.Addr{}, errors.Join(err, a.release(addr, pot))
			}
			return addr, nil
		}
		if addr = n.after(addr); addr == begin {
			return netip.Addr{}, fmt.Errorf("no address is free in %s", n.Prefix)
		}
	}
}

// claim takes the one address that is asked for, or keeps it. Another pot's is
// fs.ErrExist.
func (a *addresses) claim(addr netip.Addr, pot Name) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
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
func (n Network) after(addr netip.Addr) netip.Addr {
	for {
		addr = addr.Next()
		if !n.Prefix.Contains(addr) || addr == n.broadcast() {
			addr = n.Prefix.Addr().Next()
		}
		if addr != n.Gateway {
			return addr
		}
	}
}

// last is the address given out last, or where to begin.
func (a *addresses) last(n Network) netip.Addr {
	data, err := os.ReadFile(filepath.Join(a.dir, lastFile(n)))
	if err == nil {
		addr, err := netip.ParseAddr(strings.TrimSpace(string(data)))
		if err == nil && n.Prefix.Contains(addr) {
			return addr
		}
	}
	return n.Prefix.Addr()
}

// all are those that pots have.
func (a *addresses) all() (all []netip.Addr, err error) {
	entries, err := os.ReadDir(a.dir)
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

// releaseAll gives back whatever pot has: what to do when its record is lost.
func (a *addresses) releaseAll(pot Name) error {
	all, err := a.all()
	for _, addr := range all {
		err = errors.Join(err, a.release(addr, pot))
	}
	return err
}
