package freebsd

import (
	"fmt"
	"slices"
)

// memberAddresses is the sysctl that decides whether a member of a bridge may have
// an address. FreeBSD 14 has no such sysctl and allows it. FreeBSD 15 has it, and it
// may be 0. FreeBSD 16 will have no such sysctl and refuse (bridge(4)).
const memberAddresses = "net.link.bridge.member_ifaddrs"

// refusesMemberAddresses reports whether the kernel keeps interfaces with an
// address out of bridges, and addresses off the members of bridges. If the sysctl is
// missing, either the kernel allows both or if_bridge(4) is not loaded yet.
func refusesMemberAddresses(k Kernel) bool {
	allowed, err := k.Sysctl(memberAddresses)
	return err == nil && allowed == 0
}

// mayJoin returns why i cannot become a member of a bridge, with what a person can
// do about it, and nil if it can (sys/net/if_bridge.c, bridge_ioctl_add).
func mayJoin(k Kernel, i *iface) error {
	if !i.addressed() || !refusesMemberAddresses(k) {
		return nil
	}
	return fmt.Errorf("uplink %s has an address, and %s=0 keeps such an interface out of bridges, where pots have their IPv6 from: "+
		"%s", i.name, memberAddresses, mendMember(i.name))
}

// mendMember says what lets an interface be in a bridge, and the host keep its address.
func mendMember(name string) string {
	return fmt.Sprintf("sysctl %[1]s=1; echo %[1]s=1 >> /etc/sysctl.conf; or move the address to a bridge that has %[2]s as a member and set POT_EXTIF to that bridge",
		memberAddresses, name)
}

// bridgeOf returns the bridge that has the interface of that name as a member, or
// that has that name itself; nil if there is none.
func bridgeOf(all []*iface, name string) *iface {
	for _, i := range all {
		if i.in("bridge") && (i.name == name || slices.Contains(i.members, name)) {
			return i
		}
	}
	return nil
}
