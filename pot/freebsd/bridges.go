package freebsd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nomad-driver-pot/pot"
)

// Bridges are found as pot finds them: one of IPv4 by the gateway's address on it,
// that of IPv6 by the uplink among its members (pot-reference 8.2). One that we
// made says so in its description, and goes with its last pot.
const ourBridges = "nomad-driver-pot "

// bridge is the one that has the gateway's address, made if there is none, with
// the network's way out.
func (l *links) bridge(ctx context.Context, link pot.Link) (string, error) {
	names, err := l.kernel.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	if name, ok := names[link.Gateway]; ok {
		return name, nil
	}
	if _, err := l.runner.Run(ctx, nil, "sysctl", "net.inet.ip.forwarding=1"); err != nil {
		return "", err
	}
	description := ourBridges + "public bridge"
	if link.Bridge != "" {
		description = ourBridges + "private bridge " + link.Bridge
	}
	inet := netip.PrefixFrom(link.Gateway, link.Address.Bits()).String()
	bridge, err := l.create(ctx, "bridge", description, "inet", inet)
	if err != nil {
		return "", err
	}
	if err := nat(ctx, l.runner, l.config); err != nil {
		return "", errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return l.drop(ctx, bridge) }))
	}
	return bridge, nil
}

// uplinkBridge is the one that has the uplink, made if there is none: pots have
// their IPv6 from the routers there.
func (l *links) uplinkBridge(ctx context.Context) (string, error) {
	uplink := l.config.Interface
	if uplink == "" {
		return "", errors.New("no uplink is known to have IPv6 from: set POT_EXTIF in pot.conf")
	}
	all, err := l.interfaces(ctx)
	if err != nil {
		return "", err
	}
	for _, i := range all {
		if i.in("bridge") && slices.Contains(i.members, uplink) {
			return i.name, nil
		}
	}
	return l.create(ctx, "bridge", ourBridges+"IPv6 bridge", "addm", uplink)
}

// dropBridges destroys those of our bridges that no pot is on. A bridge of ours has
// no description if the ifconfig(8) that created it was killed.
func (l *links) dropBridges(ctx context.Context, all []*iface) error {
	for _, i := range all {
		members := slices.DeleteFunc(slices.Clone(i.members), func(m string) bool { return m == l.config.Interface })
		ours := strings.HasPrefix(i.description, ourBridges) || i.description == "" && hasOurUnit(i.name)
		if !i.in("bridge") || !ours || len(members) > 0 {
			continue
		}
		if err := l.drop(ctx, i.name); err != nil {
			return err
		}
	}
	return nil
}
