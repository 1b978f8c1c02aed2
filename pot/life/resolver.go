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
)

// The resolver(5) file of a pot whose spec leaves it to the host.

// hostResolvConf is the host's own. It may be a link, and need not be there.
const hostResolvConf = "/etc/resolv.conf"

// A hostResolver is what a host says of how it resolves names.
type hostResolver struct {
	text      string              // of hostResolvConf
	there     bool                // whether that file is
	upstreams func() []netip.Addr // Host.Upstreams
	image     func() string       // text of the image's own file
}

// resolver returns what the pot resolves names by: of what the spec leaves to the host,
// only what the pot can reach. missing says, for its user, why no name resolves in it; ""
// if some do.
func (p *Pot) resolver() (d pot.DNS, missing string, err error) {
	h := hostResolver{upstreams: p.host.Upstreams, image: func() string { return imageResolvConf(p.Tree()) }}
	h.text, err = readResolvConf()
	h.there = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, "", err
	}
	d, missing = h.of(&p.record.Spec)
	return d, missing, nil
}

// of is resolver of a pot with that spec.
func (h *hostResolver) of(s *pot.Spec) (d pot.DNS, missing string) {
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
	own := pot.NameServers(h.text)
	servers := h.servers(s, own)
	switch {
	case !h.there && len(servers) == 0 && !partly:
		d.Off = true // the image's file stays
		servers = pot.NameServers(h.image())
	case partly || len(servers) > len(own) || len(own) < len(pot.NamedServers(h.text)) || len(servers) == 0:
		d.Text = joined(h.text, d, append([]netip.Addr{}, servers...))
	}
	if !usable(s, servers) {
		missing = h.unresolved(s.InPlace)
	}
	return d, missing
}

// servers returns own, with others if a pot with that spec can use none of own: those that
// the host's resolver asks, or else those that its operator has named.
func (h *hostResolver) servers(s *pot.Spec, own []netip.Addr) []netip.Addr {
	if usable(s, own) {
		return own
	}
	if more := h.upstreams(); usable(s, more) {
		return append(own, more...)
	}
	return append(own, s.DNS.Fallback...)
}

// usable reports whether one of servers has an address of a family that the pot has.
func usable(s *pot.Spec, servers []netip.Addr) bool {
	return slices.ContainsFunc(servers, func(a netip.Addr) bool {
		is4 := a.Unmap().Is4()
		return is4 && s.Stack.Has4() || !is4 && s.Stack.Has6()
	})
}

// joined returns the text of a resolver(5) file with d's searches and options, if it has
// any, in place of its own, and with servers in place of its own; nil keeps its own.
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

// unresolved says why no name resolves, and what would change that.
func (h *hostResolver) unresolved(own bool) string {
	why := hostResolvConf + " of this host names no server"
	switch all := pot.NamedServers(h.text); {
	case !h.there:
		why = "this host has no " + hostResolvConf
	case len(all) > 0:
		why = hostResolvConf + " of this host names only " + strings.Join(all, ", ") + ", which the pot cannot reach"
	}
	if own {
		return "Names do not resolve in the pot: " + why + ": create it with -d custom:FILE, and lines such as nameserver 192.0.2.53 in FILE"
	}
	return "Names do not resolve: " + why + `: set dns { servers = ["192.0.2.53"] } in the job's network block, or dns = ["192.0.2.53"] in the plugin's configuration`
}

// readResolvConf reads the host's file, as far as a pot's may be long.
func readResolvConf() (string, error) {
	f, err := os.Open(hostResolvConf)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return pot.ReadResolvConf(f)
}

// imageResolvConf returns the text of an image's own file; "" if it has none.
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
	text, _ := pot.ReadResolvConf(f)
	return text
}
