package pot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
)

// The resolver(5) file of a pot whose spec leaves it to the host.

// hostResolvConf is the host's own. It may be a link, and need not be there.
const hostResolvConf = "/etc/resolv.conf"

// NameServers returns the servers in the text of a resolver(5) file that other machines,
// and pots, may reach: a server on loopback is another in each network stack.
func NameServers(text string) (servers []netip.Addr) {
	for _, server := range named(text) {
		if addr, err := netip.ParseAddr(server); err == nil && Reachable(addr) {
			servers = append(servers, addr)
		}
	}
	return servers
}

// NameServersIn returns the servers in the resolver(5) files of root that match pattern, in
// the order of their names, each server once.
func NameServersIn(root fs.FS, pattern string) (servers []netip.Addr) {
	names, _ := fs.Glob(root, pattern) // none for a pattern that is none
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			continue
		}
		text, _ := firstOf(f)
		f.Close()
		for _, addr := range NameServers(text) {
			if !slices.Contains(servers, addr) {
				servers = append(servers, addr)
			}
		}
	}
	return servers
}

// nameServer returns the server of a line that names one. A resolver knows a keyword at
// the beginning of a line alone.
func nameServer(line string) (server string, ok bool) {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "nameserver" || !strings.HasPrefix(line, "nameserver") {
		return "", false
	}
	return strings.Join(words[1:min(len(words), 2)], ""), true
}

// Reachable reports whether a server's address can be one for a pot. Loopback, and what
// is unspecified, is the pot itself there; a zone is an interface of the host.
func Reachable(addr netip.Addr) bool {
	plain := addr.Unmap()
	return plain.IsValid() && !plain.IsLoopback() && !plain.IsUnspecified() && addr.Zone() == ""
}

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
func (p *Pot) resolver() (d DNS, missing string, err error) {
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
func (h *hostResolver) of(s *Spec) (d DNS, missing string) {
	d = s.DNS
	partly := len(d.Searches)+len(d.Options) > 0
	switch {
	case d.Off, d.Text != "", len(d.Servers) > 0:
		return d, ""
	case s.Network == HostNetwork, s.Network == NoNetwork:
		if partly {
			d.Text = joined(h.text, d, nil)
		}
		return d, ""
	}
	own := NameServers(h.text)
	servers := h.servers(s, own)
	switch {
	case !h.there && len(servers) == 0 && !partly:
		d.Off = true // the image's file stays
		servers = NameServers(h.image())
	case partly || len(servers) > len(own) || len(own) < len(named(h.text)) || len(servers) == 0:
		d.Text = joined(h.text, d, append([]netip.Addr{}, servers...))
	}
	if !usable(s, servers) {
		missing = h.unresolved(s.InPlace)
	}
	return d, missing
}

// servers returns own, with others if a pot with that spec can use none of own: those that
// the host's resolver asks, or else those that its operator has named.
func (h *hostResolver) servers(s *Spec, own []netip.Addr) []netip.Addr {
	if usable(s, own) {
		return own
	}
	if h.upstreams != nil {
		if more := h.upstreams(); usable(s, more) {
			return append(own, more...)
		}
	}
	return append(own, s.DNS.Fallback...)
}

// usable reports whether one of servers has an address of a family that the pot has.
func usable(s *Spec, servers []netip.Addr) bool {
	return slices.ContainsFunc(servers, func(a netip.Addr) bool {
		is4 := a.Unmap().Is4()
		return is4 && s.Stack.Has4() || !is4 && s.Stack.Has6()
	})
}

// joined returns the text of a resolver(5) file with d's searches and options, if it has
// any, in place of its own, and with servers in place of its own; nil keeps its own.
func joined(text string, d DNS, servers []netip.Addr) string {
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

// named returns what a file names as servers.
func named(text string) (all []string) {
	for line := range strings.Lines(text) {
		if server, ok := nameServer(line); ok {
			all = append(all, server)
		}
	}
	return all
}

// unresolved says why no name resolves, and what would change that.
func (h *hostResolver) unresolved(own bool) string {
	why := hostResolvConf + " of this host names no server"
	switch all := named(h.text); {
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
	return firstOf(f)
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
	text, _ := firstOf(f)
	return text
}

func firstOf(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxResolvConf))
	return string(data), err
}
