package freebsd

import (
	"fmt"
	"net/netip"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// parameters returns jail(8)'s arguments. They are pot's (share/pot/start.sh), except that only
// VNET jails have raw sockets and other address families, unless raw_sockets says otherwise.
func parameters(jail pot.Jail, device pairs) ([]string, error) {
	argv := []string{"jail", "-c", "name=" + string(jail.FullName()), "path=" + jail.Root, "persist",
		"host.hostname=" + jail.Hostname, "exec.clean", "allow.set_hostname=false", "allow.chflags=true"}
	release, err := userland(jail.Root)
	if err != nil {
		return nil, err
	}
	if release == "" && validOSRelease(jail.Release) {
		release = jail.Release
	}
	if release != "" {
		argv = append(argv, "osrelease="+release)
	}
	if jail.Bare {
		argv = append(argv, bareParameters...)
	} else {
		argv = append(argv, allowed(jail.Attributes)...)
	}
	network, err := connected(jail, device)
	if err != nil {
		return nil, err
	}
	return append(argv, network...), nil
}

// bareParameters are jail(8)'s for a jail that only holds a network. A child can have no more
// than its parent (sys/kern/kern_jail.c, kern_jail_set; sysv_shm.c, shm_prison_check, and its
// siblings: a jail has System V IPC only where its parent has), and no process is in this one.
// It can have fewer children than the host's limit of jails, JAIL_MAX.
var bareParameters = []string{"enforce_statfs=0", "children.max=999998", "sysvshm=new", "sysvsem=new", "sysvmsg=new"}

// allowed returns the parameters of attributes (pot set-attribute; jail(8)).
func allowed(a conf.Attributes) []string {
	var argv []string
	for _, p := range []struct{ attribute, parameter string }{
		{"enforce_statfs", "enforce_statfs"}, {"devfs_ruleset", "devfs_ruleset"}, {"sysvshm", "sysvshm"},
		{"sysvsem", "sysvsem"}, {"sysvmsg", "sysvmsg"}, {"children", "children.max"},
	} {
		if value := a.Value(p.attribute); p.attribute != "children" || value != "0" {
			argv = append(argv, p.parameter+"="+value)
		}
	}
	for _, p := range []struct{ attribute, parameter string }{
		{"mount", "allow.mount"}, {"linprocfs", "allow.mount.linprocfs"}, {"linsysfs", "allow.mount.linsysfs"},
		{"nullfs", "allow.mount.nullfs"}, {"tmpfs", "allow.mount.tmpfs"}, {"zfs", "allow.mount.zfs"}, {"mlock", "allow.mlock"},
	} {
		if a.On(p.attribute) {
			argv = append(argv, p.parameter+"=true")
		}
	}
	return argv
}

// connected returns the parameters of a jail's network. Addresses of network alias are on
// their interfaces before (aliases.Add): ip4.addr without an interface only allows them to
// the jail. With vnet, raw sockets reach the jail's own stack alone.
func connected(jail pot.Jail, device pairs) ([]string, error) {
	var argv []string
	raw := jail.Attributes.On("raw_sockets")
	switch jail.Network {
	case pot.HostNetwork:
		for _, f := range []struct {
			parameter string
			has       bool
		}{{"ip4", jail.Stack.Has4()}, {"ip6", jail.Stack == "" || jail.Stack.Has6()}} {
			if f.has {
				argv = append(argv, f.parameter+"=inherit")
			}
		}
	case pot.Alias:
		var v4, v6 []netip.Addr
		for _, a := range jail.Aliases {
			if a.Addr.Is4() {
				v4 = append(v4, a.Addr)
			} else {
				v6 = append(v6, a.Addr)
			}
		}
		argv = append(append(argv, addresses("ip4.addr", v4)...), addresses("ip6.addr", v6)...)
	case pot.NoNetwork, pot.PublicBridge, pot.PrivateBridge:
		argv = append(argv, "vnet")
		for _, end := range []string{inner(device.v4), inner(device.v6)} {
			if end != "" {
				argv = append(argv, "vnet.interface="+end)
			}
		}
		argv = append(argv, "allow.socket_af=true")
		raw = jail.Attributes.Value("raw_sockets") != "NO"
	case pot.Joined: // without ip4 a child has no addresses; without vnet it has its parent's network
		argv = append(argv, "ip4=inherit", "ip6=inherit", "allow.socket_af=true")
		raw = jail.Attributes.Value("raw_sockets") != "NO"
	default:
		return nil, fmt.Errorf("network %s: %w", jail.Network, pot.ErrUnsupported)
	}
	if raw {
		argv = append(argv, "allow.raw_sockets=true")
	}
	return argv, nil
}

// addresses returns the parameter with the addresses of one family. Given an interface too,
// as by pot, jail(8) would add the address itself: aliases.Add does, since it knows which
// addresses the operator had put there.
func addresses(parameter string, all []netip.Addr) []string {
	if len(all) == 0 {
		return nil
	}
	var text []string
	for _, a := range all {
		text = append(text, a.String())
	}
	return []string{parameter + "=" + strings.Join(text, ",")}
}
