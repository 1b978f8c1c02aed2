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
	"nomad-driver-pot/pot/resolvconf"
	"nomad-driver-pot/pot/tree"
)

// Connection is how a pot is connected to a network (pot create -N -S -B -i).
type Connection struct {
	Network   pot.NetworkMode // HostNetwork for pot's inherit
	Stack     pot.Stack       // "": IPv4
	Bridge    string          // name of the bridge, if Network is PrivateBridge
	Addresses []string        // "auto", or none, asks for a free one
}

// auto asks for a free address.
const auto = "auto"

// Validate returns all errors in c, each led by its option.
func (c Connection) Validate() error {
	var errs []error
	addProblem := func(text string, args ...any) { errs = append(errs, fmt.Errorf(text, args...)) }
	switch c.Network {
	case pot.HostNetwork, pot.PublicBridge, pot.PrivateBridge, pot.Alias:
	default:
		addProblem("-N: must be inherit, public-bridge, private-bridge or alias, not %q", c.Network)
	}
	if c.Stack != "" && c.Stack != pot.IPv4 && c.Stack != pot.IPv6 && c.Stack != pot.Dual {
		addProblem("-S: must be ipv4, ipv6 or dual, not %q", c.Stack)
	}
	switch {
	case c.Network == pot.PrivateBridge:
		if err := pot.ValidateBridge(c.Bridge); err != nil {
			addProblem("-B: %w", err)
		}
	case c.Bridge != "":
		addProblem("-B: requires network private-bridge, not %s", c.Network)
	}
	switch {
	case c.Network == pot.HostNetwork && len(c.Addresses) > 0:
		addProblem("-i: network inherit uses the host's addresses")
	case c.Network == pot.Alias && len(c.Addresses) == 0:
		addProblem("-i: network alias needs an address")
	case c.Network.VNET() && len(c.Addresses) > 1:
		addProblem("-i: a pot on a bridge has one address")
	}
	for _, text := range c.Addresses {
		var err error
		switch {
		case c.Network == pot.Alias:
			_, err = pot.ParseInterfaceAddr(text)
		case text != auto:
			_, err = parseAddr(text)
		}
		if err != nil {
			addProblem("-i: %w", err)
		}
	}
	return errors.Join(errs...)
}

// parseAddr is netip.ParseAddr with an error for a user.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, fmt.Errorf("must be an address, not %.80q", text)
	}
	return addr, nil
}

// Connect sets how the pot is connected, which must not run. It returns the address that
// was allocated for the pot, the zero Addr if none was. No other pot has that address,
// tasks' pots included; from then on the pot's pot.conf keeps it. If pot.conf cannot be
// changed, the address is released.
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
			if want, err = parseAddr(c.Addresses[0]); err != nil {
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

// connected is the change of pot.conf that Connect makes.
type connected struct {
	Connection
	ip string // addresses, as pot.conf has them
}

func (c connected) apply(ctx context.Context, s *Pot) error {
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

// SetDNS sets how the pot resolves names (pot create -d): inherit, pot, off, or
// custom:FILE, a resolv.conf(5) that is copied. The file is copied at once: the host's own
// may change later. Unlike pot, it does not check for the kind pot that the name server
// exists.
type SetDNS struct{ Kind string }

const customDNS = "custom:"

// Validate implements Change.Validate.
func (d SetDNS) Validate() error {
	file, custom := strings.CutPrefix(d.Kind, customDNS)
	switch {
	case custom && file != "", d.Kind == "inherit", d.Kind == "pot", d.Kind == "off":
		return nil
	}
	return fmt.Errorf("-d: must be inherit, pot, off or custom:FILE, not %.80q", d.Kind)
}

func (d SetDNS) apply(ctx context.Context, s *Pot) error {
	kind := d.Kind
	if file, custom := strings.CutPrefix(d.Kind, customDNS); custom {
		kind = "custom"
		info, err := os.Stat(file)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > resolvconf.MaxBytes) {
			err = fmt.Errorf("%s: must be a file of at most %d bytes", file, resolvconf.MaxBytes)
		}
		var data []byte
		if err == nil {
			data, err = os.ReadFile(file)
		}
		if err != nil {
			return fmt.Errorf("-d: %w", tree.TrimOp(err))
		}
		// The file comes before the setting: a pot.conf that says custom always has it.
		err = editFile(s.dir, conf.Dir+"/resolv.conf", true, func([]byte) ([]byte, error) { return data, nil })
		if err != nil {
			return err
		}
	}
	return s.edit(func(conf *conf.Lines) error { return conf.Set("pot.dns", kind) })
}

// SetHostname sets the hostname in the pot. It counts from the next start.
type SetHostname struct{ Hostname string }

// Validate implements Change.Validate.
func (h SetHostname) Validate() error {
	if !pot.ValidHostname(h.Hostname) {
		return fmt.Errorf("hostname: must be letters, digits, - and dots, not %.80q", h.Hostname)
	}
	return nil
}

func (h SetHostname) apply(_ context.Context, s *Pot) error {
	return s.edit(func(conf *conf.Lines) error { return conf.Set("host.hostname", `"`+h.Hostname+`"`) })
}
