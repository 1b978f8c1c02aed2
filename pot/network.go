package pot

import "net/netip"

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
