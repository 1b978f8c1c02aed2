//go:build linux

package linux

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/flock"
)

// links implements pot.Links by veth pairs on bridges. As with pot, the bridge of a network
// is the one that has its gateway's address (share/pot/network.sh). A bridge that we created
// has an alias that says so, and is removed with its last pot.
type links struct {
	lock     string // a file: one process at a time creates or removes bridges
	networks *networks
}

// bridgeLock is one for the machine, as bridges are: hosts with different state directories
// must not remove each other's bridge before its first pot is attached.
const bridgeLock = "/run/nomad-driver-pot.bridge.lock"

// ourBridges begins the alias of each bridge that we created.
const ourBridges = "nomad-driver-pot "

// vethNames returns the names of a pot's pair. They have at most 15 characters (IFNAMSIZ,
// linux/if.h), so they are derived from a hash; the pot's name is in the alias.
func vethNames(name pot.Name) (host, inner string) {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("pot%xa", sum[:5]), fmt.Sprintf("pot%xb", sum[:5])
}

// innerName is the interface's name in the pot.
const innerName = "eth0"

// Attach implements pot.Links.Attach. The pot's end is created in its network namespace,
// before the jail exists: see networks.
func (l links) Attach(ctx context.Context, link pot.Link) error {
	if link.IPv6 {
		return fmt.Errorf("IPv6 on a bridge: %w", pot.ErrUnsupported)
	}
	unlock, err := flock.Lock(ctx, l.lock)
	if err != nil {
		return err
	}
	defer unlock()
	bridge, err := findBridge(link)
	if err != nil {
		return err
	}
	ns, err := newNetwork()
	if err != nil {
		return errors.Join(err, removeUnusedBridges())
	}
	host, inner := vethNames(link.Pot)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = host, bridge.Attrs().Index
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: inner, PeerNamespace: netlink.NsFd(ns)}
	if err := netlink.LinkAdd(pair); err != nil {
		ns.Close()
		if errors.Is(err, unix.EEXIST) {
			err = fs.ErrExist
		}
		return errors.Join(fmt.Errorf("create %s: %w", host, err), removeUnusedBridges())
	}
	err = netlink.LinkSetAlias(pair, string(link.Pot))
	if err == nil {
		err = setUp(new(netlink.Handle), pair)
	}
	if err != nil {
		ns.Close()
		return errors.Join(fmt.Errorf("set up %s: %w", host, err), netlink.LinkDel(pair), removeUnusedBridges())
	}
	l.networks.add(link.Pot, ns)
	return nil
}

// Detach implements pot.Links.Detach. The pair may be gone with the jail's network while
// its bridge is still there without a pot.
func (l links) Detach(ctx context.Context, name pot.Name) error {
	unlock, err := flock.Lock(ctx, l.lock)
	if err != nil {
		return err
	}
	defer unlock()
	if ns, ok := l.networks.take(name); ok {
		defer ns.Close()
	}
	host, _ := vethNames(name)
	pair, err := netlink.LinkByName(host)
	switch {
	case err == nil:
		if err := netlink.LinkDel(pair); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove %s: %w", host, err)
		}
	case !errors.As(err, new(netlink.LinkNotFoundError)):
		return fmt.Errorf("find %s: %w", host, err)
	}
	return removeUnusedBridges()
}

// findBridge returns the bridge that has the gateway's address, and creates one if there is
// none.
func findBridge(link pot.Link) (netlink.Link, error) {
	addrs, err := retryInterrupted(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok && ip == link.Gateway {
			found, err := netlink.LinkByIndex(a.LinkIndex)
			if err != nil {
				return nil, err
			}
			if found.Type() != "bridge" {
				return nil, fmt.Errorf("gateway %s is the address of %s, which is not a bridge", link.Gateway, found.Attrs().Name)
			}
			return found, nil
		}
	}
	return newBridge(link)
}

// newBridge creates a bridge under the first free name.
func newBridge(link pot.Link) (netlink.Link, error) {
	for i := 0; i < 100; i++ {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Flags = fmt.Sprintf("pot%d", i), net.FlagUp
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		alias := ourBridges + "public bridge"
		if link.Bridge != "" {
			alias = ourBridges + "private bridge " + link.Bridge
		}
		err := netlink.LinkAdd(bridge)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create bridge %s: %w", attrs.Name, err)
		}
		addr := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(link.Gateway, link.Address.Bits()))}
		err = netlink.LinkSetAlias(bridge, alias)
		if err == nil {
			err = netlink.AddrAdd(bridge, addr)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("set up bridge %s: %w", attrs.Name, err), netlink.LinkDel(bridge))
		}
		return bridge, nil
	}
	return nil, errors.New("create bridge: pot0 to pot99 are taken")
}

// bridgeNames matches the names that newBridge gives.
var bridgeNames = regexp.MustCompile(`^pot[0-9]{1,2}$`)

// removeUnusedBridges removes our bridges that have no pot. A bridge without an alias is
// ours if its name matches: the process that created it was killed before it set the alias.
// The caller must hold the lock.
func removeUnusedBridges() error {
	all, err := retryInterrupted(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	inUse := map[int]bool{}
	for _, l := range all {
		inUse[l.Attrs().MasterIndex] = true
	}
	for _, l := range all {
		a := l.Attrs()
		ours := strings.HasPrefix(a.Alias, ourBridges) || a.Alias == "" && bridgeNames.MatchString(a.Name)
		if l.Type() != "bridge" || !ours || inUse[a.Index] {
			continue
		}
		if err := netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove bridge %s: %w", a.Name, err)
		}
	}
	return nil
}

// listAttempts bounds how often retryInterrupted calls list.
const listAttempts = 100

// retryInterrupted calls list until the kernel returns a consistent result. A dump is
// interrupted when an entry comes or goes meanwhile, as with many pots.
func retryInterrupted[T any](list func() ([]T, error)) (all []T, err error) {
	for range listAttempts {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// setUpNetwork sets up the interfaces in the network namespace of process pid. It moves the
// pot's end of its link there unless there is set.
func setUpNetwork(pid int, jail pot.Jail, there bool) error {
	if jail.Network == pot.HostNetwork || jail.Network == pot.Joined {
		return nil
	}
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("open network of first process: %w", err)
	}
	defer ns.Close()
	_, name := vethNames(jail.Name)
	if jail.Link != (pot.Link{}) && !there {
		inner, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if err := netlink.LinkSetNsFd(inner, int(ns)); err != nil {
			return fmt.Errorf("move %s into the jail: %w", name, err)
		}
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("reach network of the jail: %w", err)
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set up lo in the jail: %w", err)
	}
	if jail.Link == (pot.Link{}) {
		return nil
	}
	return configure(h, name, jail.Link)
}

// setUp sets an end of a pair up without a link-local IPv6 address. With one, each pot's
// two ends would probe for duplicates and solicit routers, which the bridge would forward
// to all others.
func setUp(h *netlink.Handle, end netlink.Link) error {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE (linux/if_link.h)
	err := h.LinkSetIP6AddrGenMode(end, none)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) { // no IPv6 on this machine
		return err
	}
	return h.LinkSetUp(end)
}

// configure renames the pot's interface and sets its address and route. The order is the
// kernel's: older ones rename no interface that is up, and a route needs a gateway that can
// be reached.
func configure(h *netlink.Handle, name string, link pot.Link) error {
	inner, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkSetName(inner, innerName)
	}
	if err == nil {
		err = h.AddrAdd(inner, &netlink.Addr{IPNet: ipNet(link.Address)})
	}
	if err == nil {
		err = setUp(h, inner)
	}
	if err == nil {
		err = h.RouteAdd(&netlink.Route{LinkIndex: inner.Attrs().Index, Gw: link.Gateway.AsSlice()})
	}
	if err != nil {
		return fmt.Errorf("set up %s as %s in the jail: %w", name, link.Address, err)
	}
	return nil
}
