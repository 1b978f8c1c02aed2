package life

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/resolvconf"
)

// The resolver(5) file of a pot whose spec leaves it to the host.

// hostResolvConf is the host's resolver(5) file. It may be a link, and need not exist.
const hostResolvConf = "/etc/resolv.conf"

// A hostResolver is how a host resolves names.
type hostResolver struct {
	text      string              // of hostResolvConf
	exists    bool                // whether hostResolvConf exists
	upstreams func() []netip.Addr // Host.Upstreams
	image     func() string       // text of the image's own file
}

// resolver returns how the pot resolves names: by its spec, and where that leaves it to the
// host, by the host's servers that the pot can reach. missing is a message for the user if
// names cannot be resolved in the pot, and "" if they can.
func (p *Pot) resolver() (d pot.DNS, missing string, err error) {
	h := hostResolver{upstreams: p.host.Upstreams, image: func() string { return imageResolvConf(p.Tree()) }}
	h.text, err = readResolvConf()
	h.exists = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, "", err
	}
	d, missing = h.resolve(&p.record.Spec)
	return d, missing, nil
}

// resolve implements Pot.resolver for a pot with that spec.
func (h *hostResolver) resolve(s *pot.Spec) (d pot.DNS, missing string) {
	d = s.DNS
	partly := len(d.Searches)+len(d.Options) > 0
	switch {
	case d.Off, d.Text != "", len(d.Servers) > 0:
		return d, ""
	case s.Network == pot.HostNetwork, s.Network == pot.NoNetwork:
		if partly {
			d.Text = joined(h.text, d, nil)
		}
		return d, ""
	}
	reachable := resolvconf.NameServers(h.text)
	servers := h.servers(s, reachable)
	switch {
	case !h.exists && len(servers) == 0 && !partly:
		d.Off = true // the image's file stays
		servers = resolvconf.NameServers(h.image())
	case partly || len(servers) > len(reachable) || len(reachable) < len(resolvconf.NamedServers(h.text)) || len(servers) == 0:
		d.Text = joined(h.text, d, append([]netip.Addr{}, servers...))
	}
	if !usable(s, servers) {
		missing = h.unresolved(s.InPlace)
	}
	return d, missing
}

// servers returns reachable, the servers of the host's file that pots can reach. If a pot
// with that spec can use none of them, it adds the servers that the host's own resolver
// asks, or else the operator's (DNS.Fallback).
func (h *hostResolver) servers(s *pot.Spec, reachable []netip.Addr) []netip.Addr {
	if usable(s, reachable) {
		return reachable
	}
	if more := h.upstreams(); usable(s, more) {
		return append(reachable, more...)
	}
	return append(reachable, s.DNS.Fallback...)
}

// usable reports whether the pot has the address family of any of servers.
func usable(s *pot.Spec, servers []netip.Addr) bool {
	return slices.ContainsFunc(servers, func(a netip.Addr) bool {
		is4 := a.Unmap().Is4()
		return is4 && s.Stack.Has4() || !is4 && s.Stack.Has6()
	})
}

// joined returns text, of a resolver(5) file, with its searches and options replaced by d's,
// if d has any, and its servers by servers, if that is not nil.
func joined(text string, d pot.DNS, servers []netip.Addr) string {
	var b strings.Builder
	b.WriteString("# Made from this host's " + hostResolvConf + ".\n")
	for line := range strings.Lines(text) {
		words := append(strings.Fields(line), "")
		switch word := words[0]; {
		case word == "nameserver" && servers != nil,
			(word == "search" || word == "domain") && len(d.Searches) > 0,
			word == "options" && len(d.Options) > 0:
			continue
		}
		b.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	if len(d.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(d.Searches, " "))
	}
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(d.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(d.Options, " "))
	}
	return b.String()
}

// unresolved returns the message for a user in whose pot names do not resolve: why, and what
// would change that.
func (h *hostResolver) unresolved(inPlace bool) string {
	why := hostResolvConf + " of this host names no server"
	switch all := resolvconf.NamedServers(h.text); {
	case !h.exists:
		why = "this host has no " + hostResolvConf
	case len(all) > 0:
		why = hostResolvConf + " of this host names only " + strings.Join(all, ", ") + ", which the pot cannot reach"
	}
	if inPlace {
		return "Names do not resolve in the pot: " + why + ": create it with -d custom:FILE, and lines such as nameserver 192.0.2.53 in FILE"
	}
	return "Names do not resolve: " + why + `: set dns { servers = ["192.0.2.53"] } in the job's network block, or dns = ["192.0.2.53"] in the plugin's configuration`
}

// readResolvConf reads hostResolvConf, up to the length that a pot's file may have.
func readResolvConf() (string, error) {
	f, err := os.Open(hostResolvConf)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return resolvconf.Read(f)
}

// imageResolvConf returns the text of the resolver(5) file in an image's tree; "" if it has
// none that can be read.
func imageResolvConf(tree string) string {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return ""
	}
	defer root.Close()
	f, err := root.OpenFile("etc/resolv.conf", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, _ := resolvconf.Read(f)
	return text
}
