package freebsd

import (
	"io/fs"
	"net/netip"
	"strings"

	"nomad-driver-pot/pot/resolvconf"
)

// The files where a resolver on loopback has the servers that it asks. local-unbound-setup(8) writes the
// first; resolvconf(8), of its releases before and after 3.14, the others, a resolver(5)
// file for each interface.
const forwardConf = "var/unbound/forward.conf"

var resolvconfFiles = []string{"var/run/resolvconf/interfaces/*", "var/run/resolvconf/keys/*"}

// upstreams returns what pot.Host.Upstreams does, of the machine whose files root has.
func upstreams(root fs.FS) []netip.Addr {
	if text, err := fs.ReadFile(root, forwardConf); err == nil {
		if all := forwardAddrs(string(text)); len(all) > 0 {
			return all
		}
	}
	for _, pattern := range resolvconfFiles {
		if all := resolvconf.NameServersIn(root, pattern); len(all) > 0 {
			return all
		}
	}
	return nil
}

// forwardAddrs returns the servers for all names in the text of an unbound.conf(5): the
// forward-addr of the forward-zone ".", as ADDRESS[@PORT][#NAME]. A resolver(5) file has no
// ports: a server of DNS over TLS, at 853, is taken to answer at 53 too, and one at
// another port is not.
func forwardAddrs(text string) (servers []netip.Addr) {
	var zone []netip.Addr
	name := ""
	end := func() {
		if name == "." {
			servers = append(servers, zone...)
		}
		zone, name = nil, ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		words := append(strings.Fields(value), "")
		switch word := strings.Trim(words[0], `"'`); {
		case word == "" || strings.HasPrefix(word, "#"): // a clause begins
			end()
		case key == "name":
			name = word
		case key == "forward-addr":
			if addr, ok := forwardAddr(word); ok {
				zone = append(zone, addr)
			}
		}
	}
	end()
	return servers
}

func forwardAddr(word string) (netip.Addr, bool) {
	word, _, _ = strings.Cut(word, "#")
	text, port, _ := strings.Cut(word, "@")
	if port != "" && port != "53" && port != "853" {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	return addr, err == nil && resolvconf.Reachable(addr)
}
