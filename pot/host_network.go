package pot

import (
	"context"
	"net/netip"
)

// A Link connects a pot to bridges of the host: an interface for each family of
// addresses, with one end in the pot.
type Link struct {
	Pot     Name
	Bridge  string       // of a private network; "" for the public one
	Address netip.Prefix // of the pot, with the length of its network; not valid without IPv4
	Gateway netip.Addr   // the address of the host's bridge

	// IPv6 is whether the pot has IPv6, on the bridge that has the uplink, where routers
	// advertise.
	IPv6 bool
}

// Links are the interfaces of pots on the host's bridges.
type Links interface {
	// Attach makes the two ends and adds the host's end to the bridge. It makes the
	// bridge, with the gateway's address, if there is none. The other end goes into the
	// jail when that is created.
	Attach(ctx context.Context, l Link) error

	// Detach removes both ends, and with the last pot the bridge, if it was made for
	// pots.
	Detach(ctx context.Context, pot Name) error
}

// Aliases are addresses of pots on interfaces of the host. A host whose jails cannot be
// limited to some of its addresses has Unsupported.
type Aliases interface {
	// Find reports whether an interface has an address. If no interface is named it is
	// the uplink, whose name is returned.
	Find(ctx context.Context, a InterfaceAddr) (on InterfaceAddr, found bool, err error)

	// Add gives an interface an address, with a full-length prefix.
	Add(ctx context.Context, a InterfaceAddr) error

	// Remove removes the address.
	Remove(ctx context.Context, a InterfaceAddr) error
}

// A Redirect is what is published of a pot.
type Redirect struct {
	Pot   Name
	To    netip.Addr // of the pot; not valid where it is not known
	Ports []Port

	// Anchor is what Redirects.Anchor returned when the pot was published; "" if that is
	// not known.
	Anchor string

	// Unpublished is set if nothing was ever published of the pot.
	Unpublished bool
}

// Redirects have the kernel forward connections to ports of the host to pots, which see
// the client's address. Connections that do not pass the redirects, such as those from
// the host itself, are the supervisor's to forward.
type Redirects interface {
	// Anchor returns the host's name for the redirects of a pot. Other versions of the
	// driver may have other names.
	Anchor(pot Name) string

	// Publish replaces what is published of the pot.
	Publish(ctx context.Context, r Redirect) error

	// Withdraw removes the redirects, wherever they are if r.Anchor is not known, and
	// ends all connections to and from the pot's address.
	Withdraw(ctx context.Context, r Redirect) error
}

// NoRedirects implements Redirects on a host where supervisors alone publish ports.
type NoRedirects struct{}

// Anchor implements Redirects: there is no anchor.
func (NoRedirects) Anchor(Name) string { return "" }

// Publish implements Redirects.
func (NoRedirects) Publish(context.Context, Redirect) error { return nil }

// Withdraw implements Redirects.
func (NoRedirects) Withdraw(context.Context, Redirect) error { return nil }
