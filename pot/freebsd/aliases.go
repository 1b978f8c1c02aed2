package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// aliases are addresses of pots on the host's interfaces (ifconfig(8), alias).
type aliases struct {
	runner run.Runner
	kernel Kernel
	uplink string
}

// Find implements pot.Aliases.
func (a aliases) Find(ctx context.Context, want pot.InterfaceAddr) (pot.InterfaceAddr, bool, error) {
	if want.Interface == "" {
		want.Interface = a.uplink
	}
	if want.Interface == "" {
		return want, false, fmt.Errorf("%s: on which interface? Name it, as in em0|%s, or set POT_EXTIF in pot.conf", want.Addr, want.Addr)
	}
	names, err := a.kernel.Interfaces()
	if err != nil {
		return want, false, fmt.Errorf("list interfaces: %w", err)
	}
	on, there := names[want.Addr]
	if there && on != want.Interface {
		return want, false, fmt.Errorf("%s is an address of %s, not of %s", want.Addr, on, want.Interface)
	}
	return want, there, nil
}

// Add implements pot.Aliases. The address has a full-length prefix: other hosts reach it,
// and the interface's first address stays the host's source address.
func (a aliases) Add(ctx context.Context, addr pot.InterfaceAddr) error {
	one := netip.PrefixFrom(addr.Addr, addr.Addr.BitLen())
	_, err := a.runner.Run(ctx, nil, "ifconfig", addr.Interface, family(addr.Addr), one.String(), "alias")
	if err == nil || !refusesMemberAddresses(a.kernel) {
		return classify(err)
	}
	all, listed := listInterfaces(ctx, a.runner)
	if b := bridgeOf(all, addr.Interface); listed == nil && b != nil && b.name != addr.Interface {
		err = fmt.Errorf("%s is a member of %s, and %s=0 keeps addresses off members of bridges: sysctl %[3]s=1, or name the bridge, as in %[2]s|%[4]s: %[5]w",
			addr.Interface, b.name, memberAddresses, addr.Addr, err)
	}
	return classify(err)
}

// Remove implements pot.Aliases. The end of the jail does not do it: jail_remove(2) knows
// of no interfaces.
func (a aliases) Remove(ctx context.Context, addr pot.InterfaceAddr) error {
	_, err := a.runner.Run(ctx, nil, "ifconfig", addr.Interface, family(addr.Addr), addr.Addr.String(), "-alias")
	err = classify(err)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// family is ifconfig(8)'s and pf.conf(5)'s word for an address's.
func family(a netip.Addr) string {
	if a.Is6() {
		return "inet6"
	}
	return "inet"
}
