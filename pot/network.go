package pot

import (
	"fmt"
	"net/netip"

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
	Joined        NetworkMode = "joined"         // the stack of another pot, Spec.Of
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

// ParseInterfaceAddr parses the format of InterfaceAddr.String.
func ParseInterfaceAddr(text string) (InterfaceAddr, error) {
	var a InterfaceAddr
	rest := text
	for i := range len(text) {
		if text[i] == '|' {
			a.Interface, rest = text[:i], text[i+1:]
			if !ValidInterface(a.Interface) {
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

// Network is the IPv4 network of a bridge: of the host's public bridge (POT_NETWORK,
// POT_GATEWAY) or of a private one.
type Network struct {
	Prefix  netip.Prefix `json:"prefix"`
	Gateway netip.Addr   `json:"gateway"` // the host's own address on the bridge
}

// DefaultNetwork is pot's default for the public bridge.
var DefaultNetwork = Network{
	Prefix:  netip.MustParsePrefix("10.192.0.0/10"),
	Gateway: netip.MustParseAddr("10.192.0.1"),
}

// ParseNetwork reads a network and the gateway in it. An empty gateway is the
// network's first address. An error is a *FieldError of network or gateway.
func ParseNetwork(prefix, gateway string) (Network, error) {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return Network{}, fieldErrorf("network", "must be as in 10.192.0.0/10, not %q", prefix)
	}
	n := Network{Prefix: p.Masked(), Gateway: p.Masked().Addr().Next()}
	switch {
	case !p.Addr().Is4():
		return Network{}, fieldErrorf("network", "must be IPv4, not %s", p)
	case p.Bits() > 30:
		return Network{}, fieldErrorf("network", "%s has no room for pots", p)
	case gateway == "":
		return n, nil
	}
	n.Gateway, err = netip.ParseAddr(gateway)
	if err != nil || !n.Prefix.Contains(n.Gateway) || n.Gateway == n.Prefix.Addr() || n.Gateway == n.Broadcast() {
		return Network{}, fieldErrorf("gateway", "must be a host address in %s, not %q", n.Prefix, gateway)
	}
	return n, nil
}

// Hosts reports whether addr is an address for pots: in the network, and neither its
// gateway, its first nor its broadcast address.
func (n Network) Hosts(addr netip.Addr) bool {
	return n.Prefix.Contains(addr) && addr != n.Gateway && addr != n.Prefix.Addr() && addr != n.Broadcast()
}

// Broadcast returns the network's last address.
func (n Network) Broadcast() netip.Addr {
	b := n.Prefix.Addr().As4()
	for i := n.Prefix.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
