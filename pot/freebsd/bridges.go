package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"nomad-driver-pot/pot"
)

// Bridges are found as pot finds them: an IPv4 bridge by the gateway's address on it,
// the IPv6 bridge by the uplink among its members (share/pot/network.sh). A bridge that this
// driver created says so in its description, and is destroyed with its last pot.
const ourBridges = "nomad-driver-pot "

// bridge returns the bridge that has the gateway's address, which it creates if
// there is none. What pots need to reach other networks is there when it returns,
// whoever created the bridge, and when.
func (l *links) bridge(ctx context.Context, link pot.Link) (string, error) {
	if err := l.routing.ensure(ctx); err != nil {
		return "", err
	}
	names, err := l.kernel.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	if name, ok := names[link.Gateway]; ok {
		return name, nil
	}
	description := ourBridges + "public bridge"
	if link.Bridge != "" {
		description = ourBridges + "private bridge " + link.Bridge
	}
	inet := netip.PrefixFrom(link.Gateway, link.Address.Bits()).String()
	return l.create(ctx, "bridge", description, "inet", inet)
}

// uplinkBridge returns the bridge that has the uplink as a member, or that is the
// uplink itself, and creates one if there is none: pots have their IPv6 from the
// routers there.
func (l *links) uplinkBridge(ctx context.Context) (string, error) {
	uplink := l.config.Interface
	if uplink == "" {
		return "", errors.New("no uplink is known to have IPv6 from: set POT_EXTIF in pot.conf")
	}
	all, err := l.interfaces(ctx)
	if err != nil {
		return "", err
	}
	if i := bridgeOf(all, uplink); i != nil {
		return i.name, nil
	}
	i := find(all, uplink)
	if i == nil {
		return "", fmt.Errorf("uplink %s: %w: set POT_EXTIF in pot.conf", uplink, fs.ErrNotExist)
	}
	if err := mayJoin(l.kernel, i); err != nil {
		return "", err
	}
	bridge, err := l.create(ctx, "bridge", ourBridges+"IPv6 bridge", "addm", uplink)
	if err != nil {
		if refused := mayJoin(l.kernel, i); refused != nil { // the command loads if_bridge(4), and with it the sysctl
			err = fmt.Errorf("%w: %w", refused, err)
		}
		return "", err
	}
	return bridge, nil
}

// dropBridges destroys our bridges without pots. A bridge of ours has
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
