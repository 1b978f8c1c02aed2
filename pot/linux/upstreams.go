//go:build linux

package linux

import (
	"io/fs"
	"net/netip"

	"nomad-driver-pot/pot/resolvconf"
)

// upstreamFiles are the resolver(5) files in which resolvers on loopback, or the programs
// that configure them, keep their upstream servers: systemd-resolved.service(8),
// NetworkManager.conf(5) (rc-manager), Debian's dnsmasq, and resolvconf(8), one for each
// interface.
var upstreamFiles = []string{
	"run/systemd/resolve/resolv.conf", "run/NetworkManager/no-stub-resolv.conf", "run/dnsmasq/resolv.conf",
	"run/resolvconf/interfaces/*", "run/resolvconf/keys/*",
}

// upstreams implements pot.Host.Upstreams for the machine whose files root has: it returns
// the servers in the first of upstreamFiles that has any.
func upstreams(root fs.FS) []netip.Addr {
	for _, pattern := range upstreamFiles {
		if all := resolvconf.NameServersIn(root, pattern); len(all) > 0 {
			return all
		}
	}
	return nil
}
