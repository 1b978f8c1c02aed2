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

// Network is the public network of a host's pots (POT_NETWORK, POT_GATEWAY).
type Network struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // the host's own address on the bridge
}

// DefaultNetwork is pot's.
var DefaultNetwork = Network{
	Prefix:  netip.MustParsePrefix("10.192.0.0/10"),
	Gateway: netip.MustParseAddr("10.192.0.1"),
}

// ParseNetwork reads a network and the gateway in it; an empty gateway is the
// network's first address.
func ParseNetwork(prefix, gateway string) (Network, error) {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return Network{}, fmt.Errorf("network: must be as in 10.192.0.0/10, not %q", prefix)
	}
	n := Network{Prefix: p.Masked(), Gateway: p.Masked().Addr().Next()}
	switch {
	case !p.Addr().Is4():
		return Network{}, fmt.Errorf("network: must be IPv4, not %s", p)
	case p.Bits() > 30:
		return Network{}, fmt.Errorf("network: %s has no room for pots", p)
	case gateway == "":
		return n, nil
	}
	n.Gateway, err = netip.ParseAddr(gateway)
	if err != nil || !n.Prefix.Contains(n.Gateway) || n.Gateway == n.Prefix.Addr() || n.Gateway == n.broadcast() {
		return Network{}, fmt.Errorf("gateway: must be a host address in %s, not %q", n.Prefix, gateway)
	}
	return n, nil
}

func (n Network) broadcast() netip.Addr {
	b := n.Prefix.Addr().As4()
	for i := n.Prefix.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// addresses gives out a network's addresses. One file for each that is taken,
// made with O_EXCL, is the whole of the truth: no other process can take the
// same, and a crash loses nothing.
type addresses struct {
	dir string // ADDRESS: a file that holds the pot's name; "last": the newest
	net Network

	mu sync.Mutex // keeps this process from racing itself; others are told by O_EXCL
}

const lastFile = "last"

// take gives pot an address, going round so that one that was given back is
// not in use again at once: neighbours, pf states and registrations of its
// previous owner may still be about (pot-reference 10.7). None of others is given.
func (a *addresses) take(ctx context.Context, pot Name, others map[netip.Addr]bool) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return netip.Addr{}, err
	}
	begin := a.after(a.last())
	for addr := begin; ; {
		if err := ctx.Err(); err != nil {
			return netip.Addr{}, err
		}
		ok := false
		if !others[addr] {
			var err error
			if ok, err = a.reserve(addr, pot); err != nil {
				return netip.Addr{}, err
			}
		}
		if ok {
			return addr, os.WriteFile(filepath.Join(a.dir, lastFile), []byte(addr.String()), 0o600)
		}
		if addr = a.after(addr); addr == begin {
			return netip.Addr{}, fmt.Errorf("no address is free in %s", a.net.Prefix)
		}
	}
}

// reserve takes addr unless somebody has it.
func (a *addresses) reserve(addr netip.Addr, pot Name) (bool, error) {
	f, err := os.OpenFile(filepath.Join(a.dir, addr.String()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(string(pot))
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return false, err
	}
	return true, nil
}

// after is the next address that a pot may have.
func (a *addresses) after(addr netip.Addr) netip.Addr {
	for {
		addr = addr.Next()
		if !a.net.Prefix.Contains(addr) || addr == a.net.broadcast() {
			addr = a.net.Prefix.Addr().Next()
		}
		if addr != a.net.Gateway {
			return addr
		}
	}
}

// last is the address given out last, or where to begin.
func (a *addresses) last() netip.Addr {
	data, err := os.ReadFile(filepath.Join(a.dir, lastFile))
	if err == nil {
		addr, err := netip.ParseAddr(strings.TrimSpace(string(data)))
		if err == nil && a.net.Prefix.Contains(addr) {
			return addr
		}
	}
	return a.net.Prefix.Addr()
}

// release gives addr back, if it is pot's.
func (a *addresses) release(addr netip.Addr, pot Name) error {
	path := filepath.Join(a.dir, addr.String())
	owner, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && string(owner) != string(pot) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// releaseAll gives back whatever pot has: what to do when its record is lost.
func (a *addresses) releaseAll(pot Name) error {
	entries, err := os.ReadDir(a.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		addr, err := netip.ParseAddr(e.Name())
		if err != nil {
			continue
		}
		if err := a.release(addr, pot); err != nil {
			return err
		}
	}
	return nil
}

// othersAddresses are those that pots have which are not ours: the shell tool
// pot shares the network, and gives out what no pot.conf says (pot-reference
// 8.4). A pot.conf that cannot be read stands for none.
func (p *Pot) othersAddresses() (map[netip.Addr]bool, error) {
	jails := filepath.Dir(p.record.Dir)
	entries, err := os.ReadDir(jails)
	if err != nil {
		return nil, err
	}
	all := map[netip.Addr]bool{}
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(p.Pots.dir, e.Name())); err == nil {
			continue // ours: its address is a file
		}
		conf, err := imageConf(filepath.Join(jails, e.Name()))
		if err != nil {
			continue
		}
		for _, addr := range conf.Addresses {
			all[addr] = true
		}
	}
	return all, nil
}
