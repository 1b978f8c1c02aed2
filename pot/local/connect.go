package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// Connection is how a pot with a dataset of its own is connected (pot create -N -S -B
// -i, pot-reference 4.1).
type Connection struct {
	Network   pot.NetworkMode // HostNetwork for pot's inherit
	Stack     pot.Stack       // "": IPv4
	Bridge    string          // of PrivateBridge
	Addresses []string        // "auto" or none is one that is free
}

// auto is the address that is found.
const auto = "auto"

// Validate returns every fault in c, whatever pot it is for, each led by its option.
func (c Connection) Validate() error {
	var errs []error
	fault := func(text string, args ...any) { errs = append(errs, fmt.Errorf(text, args...)) }
	switch c.Network {
	case pot.HostNetwork, pot.PublicBridge, pot.PrivateBridge, pot.Alias:
	default:
		fault("-N: must be inherit, public-bridge, private-bridge or alias, not %q", c.Network)
	}
	if c.Stack != "" && c.Stack != pot.IPv4 && c.Stack != pot.IPv6 && c.Stack != pot.Dual {
		fault("-S: must be ipv4, ipv6 or dual, not %q", c.Stack)
	}
	switch {
	case c.Network == pot.PrivateBridge:
		if err := pot.ValidateBridge(c.Bridge); err != nil {
			fault("-B: %w", err)
		}
	case c.Bridge != "":
		fault("-B: is for network private-bridge, not %s", c.Network)
	}
	switch {
	case c.Network == pot.HostNetwork && len(c.Addresses) > 0:
		fault("-i: network inherit has the host's addresses")
	case c.Network == pot.Alias && len(c.Addresses) == 0:
		fault("-i: network alias needs an address")
	case c.Network.VNET() && len(c.Addresses) > 1:
		fault("-i: a pot on a bridge has one address")
	}
	for _, text := range c.Addresses {
		var err error
		switch {
		case c.Network == pot.Alias:
			_, err = pot.ParseInterfaceAddr(text)
		case text != auto:
			_, err = netip.ParseAddr(text)
		}
		if err != nil {
			fault("-i: %w", err)
		}
	}
	return errors.Join(errs...)
}

// Connect sets how the pot, which must not run, is connected, and returns the address
// that was found for it; not valid if none was looked for. Addresses are given out with
// those of tasks' pots; the pot's pot.conf keeps it from then on.
func Connect(ctx context.Context, ps *life.Pots, s *Pot, c Connection) (addr netip.Addr, err error) {
	if err := errors.Join(c.Validate(), s.stopped(ctx)); err != nil {
		return addr, err
	}
	if c.Network == pot.Alias {
		if _, _, err := ps.Host().Aliases.Find(ctx, pot.InterfaceAddr{}); errors.Is(err, pot.ErrUnsupported) {
			return addr, err
		}
	}
	ip := strings.Join(c.Addresses, " ")
	if c.Network.VNET() && c.Stack != pot.IPv6 {
		var want netip.Addr
		if len(c.Addresses) > 0 && c.Addresses[0] != auto {
			if want, err = netip.ParseAddr(c.Addresses[0]); err != nil {
				return addr, err
			}
		}
		if addr, err = ps.AllocateAddress(ctx, s.name, c.Network, c.Bridge, want); err != nil {
			return addr, err
		}
		ip = addr.String()
	}
	err = s.Apply(ctx, connected{c, ip})
	if err != nil && addr.IsValid() {
		err = errors.Join(err, ps.ReleaseAddress(s.name, addr))
	}
	return addr, err
}

// connected is a Connect with its address, as pot.conf has it.
type connected struct {
	Connection
	ip string
}

func (c connected) set(ctx context.Context, s *Pot) error {
	stack, network, vnet := c.Stack, string(c.Network), "false"
	if stack == "" {
		stack = pot.IPv4
	}
	if c.Network == pot.HostNetwork {
		network = "inherit"
	}
	if c.Network.VNET() {
		vnet = "true"
	}
	one := func(text string) []string {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	return s.edit(func(conf *conf.Lines) error {
		return errors.Join(
			conf.Set("pot.stack", string(stack)), conf.Set("network_type", network), conf.Set("vnet", vnet),
			conf.Set("ip", one(c.ip)...), conf.Set("bridge", one(c.Bridge)...),
		)
	})
}

// SetDNS is what the pot resolves names by (pot create -d): inherit, pot, off, or
// custom:FILE, which is copied.
type SetDNS struct{ Kind string }

const customDNS = "custom:"

// Validate is Setting's.
func (d SetDNS) Validate() error {
	file, custom := strings.CutPrefix(d.Kind, customDNS)
	switch {
	case custom && file != "", d.Kind == "inherit", d.Kind == "pot", d.Kind == "off":
		return nil
	}
	return fmt.Errorf("-d: must be inherit, pot, off or custom:FILE, not %.80q", d.Kind)
}

func (d SetDNS) set(ctx context.Context, s *Pot) error {
	kind := d.Kind
	if file, custom := strings.CutPrefix(d.Kind, customDNS); custom {
		kind = "custom"
		info, err := os.Stat(file)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > pot.MaxResolvConf) {
			err = fmt.Errorf("%s: must be a file of at most %d bytes", file, pot.MaxResolvConf)
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		err = editFile(s.dir, conf.Dir+"/resolv.conf", true, func([]byte) ([]byte, error) { return data, nil })
		if err != nil {
			return err
		}
	}
	return s.edit(func(conf *conf.Lines) error { return conf.Set("pot.dns", kind) })
}

// SetHostname is the pot's own name for itself.
type SetHostname struct{ Hostname string }

// Validate is Setting's.
func (h SetHostname) Validate() error {
	if !pot.ValidHostname(h.Hostname) {
		return fmt.Errorf("hostname: must be letters, digits, - and dots, not %.80q", h.Hostname)
	}
	return nil
}

func (h SetHostname) set(_ context.Context, s *Pot) error {
	return s.edit(func(conf *conf.Lines) error { return conf.Set("host.hostname", `"`+h.Hostname+`"`) })
}
