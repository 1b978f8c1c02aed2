package pot

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"nomad-driver-pot/image/conf"
)

// NetworkMode is how a pot is connected.
type NetworkMode string

// Network modes. Their names are pot's, except that pot calls HostNetwork inherit and has no
// NoNetwork.
const (
	PublicBridge  NetworkMode = "public-bridge"  // own stack, address from the public network
	PrivateBridge NetworkMode = "private-bridge" // own stack, a bridge of a few pots
	HostNetwork   NetworkMode = "host"           // the host's stack
	Alias         NetworkMode = "alias"          // the host's stack, addresses of its own
	NoNetwork     NetworkMode = "none"           // own stack, loopback only
)

// VNET reports whether a pot has a network stack of its own with an interface in it.
func (m NetworkMode) VNET() bool { return m == PublicBridge || m == PrivateBridge }

// Stack is the address families of a pot (pot.stack).
type Stack string

// Stacks. On the public bridge, pots get their IPv6 addresses from the routers that
// advertise on the uplink.
const (
	IPv4 Stack = "ipv4"
	IPv6 Stack = "ipv6"
	Dual Stack = "dual"
)

// Has4 reports whether a stack has IPv4. The zero value has it.
func (s Stack) Has4() bool { return s != IPv6 }

// Has6 reports whether a stack has IPv6.
func (s Stack) Has6() bool { return s == IPv6 || s == Dual }

// A Port is a published port: traffic to Host goes to port To of the pot.
type Port struct {
	Proto conf.Proto
	Host  netip.AddrPort
	To    uint16
}

// InterfaceAddr is an address of a pot on an interface of the host.
type InterfaceAddr struct {
	Interface string `json:",omitempty"` // "" for the uplink
	Addr      netip.Addr
}

// String returns the address as pot writes it: "em0|192.0.2.7", or without an interface.
func (a InterfaceAddr) String() string {
	if a.Interface == "" {
		return a.Addr.String()
	}
	return a.Interface + "|" + a.Addr.String()
}

// interfaces matches names that ifconfig(8) reads only as an interface (IFNAMSIZ: 16).
var interfaces = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,14}$`)

// ParseInterfaceAddr parses the format of InterfaceAddr.String.
func ParseInterfaceAddr(text string) (InterfaceAddr, error) {
	var a InterfaceAddr
	rest := text
	for i := range len(text) {
		if text[i] == '|' {
			a.Interface, rest = text[:i], text[i+1:]
			if !interfaces.MatchString(a.Interface) {
				return a, fmt.Errorf("invalid interface name: %.80q", a.Interface)
			}
			break
		}
	}
	var err error
	if a.Addr, err = netip.ParseAddr(rest); err != nil || a.Addr.Zone() != "" || a.Addr.Is4In6() {
		return a, fmt.Errorf("must be an address, or as in em0|192.0.2.7, not %.80q", text)
	}
	if a.Addr.IsUnspecified() || a.Addr.IsMulticast() || a.Addr.IsLoopback() {
		return a, fmt.Errorf("%s cannot be a pot's address", a.Addr)
	}
	return a, nil
}

// validateConnection adds the problems of the fields about networks.
func (s *Spec) validateConnection(errs *fieldErrors) {
	switch s.Network {
	case PublicBridge, HostNetwork, NoNetwork, PrivateBridge, Alias:
	default:
		errs.add("network", "no such mode: %q", string(s.Network))
		return
	}
	switch s.Stack {
	case "", IPv4:
	case IPv6, Dual:
		if s.Network == PrivateBridge || s.Network == NoNetwork {
			errs.add("stack", "%s has IPv4 only, not %s", s.Network, s.Stack)
		}
	default:
		errs.add("stack", "must be ipv4, ipv6 or dual, not %q", string(s.Stack))
	}
	switch err := ValidateBridge(s.Bridge); {
	case s.Network == PrivateBridge && err != nil:
		errs.add("bridge", "%w", err)
	case s.Network != PrivateBridge && s.Bridge != "":
		errs.add("bridge", "is for network %s only", PrivateBridge)
	}
	s.validateAliases(errs)
	s.validatePorts(errs)
}

// ValidateBridge returns an error if name cannot be the name of a private bridge.
func ValidateBridge(name string) error {
	switch {
	case name == "":
		return errors.New("must be set")
	case len(name) > 64 || !names.MatchString(name):
		return fmt.Errorf("must be letters, digits, - and _, at most 64, not %.80q", name)
	}
	return nil
}

func (s *Spec) validateAliases(errs *fieldErrors) {
	if s.Network != Alias {
		if len(s.Aliases) > 0 {
			errs.add("ip", "is for network %s only", Alias)
		}
		return
	}
	has4, has6 := false, false
	taken := map[netip.Addr]bool{}
	for i, a := range s.Aliases {
		if _, err := ParseInterfaceAddr(a.String()); err != nil {
			errs.addAt("ip", i, "%w", err)
			continue
		}
		if taken[a.Addr] {
			errs.addAt("ip", i, "%s is listed twice", a.Addr)
		}
		taken[a.Addr] = true
		has4, has6 = has4 || a.Addr.Is4(), has6 || a.Addr.Is6()
	}
	if len(s.Aliases) == 0 {
		errs.add("ip", "network %s needs an address", Alias)
		return
	}
	if s.Stack != "" && (has4 != s.Stack.Has4() || has6 != s.Stack.Has6()) {
		errs.add("ip", "must have addresses of stack %s, and no others", s.Stack)
	}
}

func (s *Spec) validatePorts(errs *fieldErrors) {
	switch {
	case len(s.Ports) == 0:
	case !s.Network.VNET():
		errs.add("ports", "cannot be published from network %q: %s and %s only", string(s.Network), PublicBridge, PrivateBridge)
	case !s.Stack.Has4():
		errs.add("ports", "cannot be published from a pot without IPv4")
	}
	type key struct {
		proto conf.Proto
		host  netip.AddrPort
	}
	taken := map[key]bool{}
	for i, p := range s.Ports {
		if p.Proto != conf.TCP && p.Proto != conf.UDP {
			errs.addAt("ports", i, "no such protocol: %q", string(p.Proto))
		}
		if p.To == 0 || p.Host.Port() == 0 {
			errs.addAt("ports", i, "must be 1 to 65535, not %d to %d", p.Host.Port(), p.To)
		}
		k := key{p.Proto, p.Host}
		if taken[k] {
			errs.addAt("ports", i, "%s %s is listed twice", p.Proto, p.Host)
		}
		taken[k] = true
	}
}
