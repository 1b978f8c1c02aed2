package freebsd

import (
	"context"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nomad-driver-pot/pot/run"
)

// iface is an interface as ifconfig(8) shows it.
type iface struct {
	name        string
	up          bool
	description string
	groups      []string
	members     []string       // of a bridge
	inet        []netip.Prefix // IPv4 addresses, each with the length of its netmask
	inet6       bool           // whether it has an IPv6 address, of any scope
}

func (i *iface) in(group string) bool { return slices.Contains(i.groups, group) }

// addressed reports whether i has an address.
func (i *iface) addressed() bool { return len(i.inet) > 0 || i.inet6 }

// listInterfaces returns all interfaces of the host.
func listInterfaces(ctx context.Context, r run.Runner) ([]*iface, error) {
	out, err := r.Run(ctx, nil, "ifconfig", "-a")
	return parseInterfaces(out), classify(err)
}

// find returns the interface of that name, and nil if there is none.
func find(all []*iface, name string) *iface {
	at := slices.IndexFunc(all, func(i *iface) bool { return i.name == name })
	if at < 0 {
		return nil
	}
	return all[at]
}

// parseInterfaces reads what `ifconfig -a` prints. Lines of an interface are
// indented; unknown lines are ignored.
func parseInterfaces(text string) []*iface {
	var all []*iface
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			continue
		}
		if line[0] != '\t' && line[0] != ' ' {
			name, rest, _ := strings.Cut(line, ": ")
			_, flags, _ := strings.Cut(rest, "<")
			flags, _, _ = strings.Cut(flags, ">")
			all = append(all, &iface{name: name, up: slices.Contains(strings.Split(flags, ","), "UP")})
			continue
		}
		if len(all) > 0 {
			all[len(all)-1].parse(strings.TrimLeft(line, "\t "))
		}
	}
	return all
}

// parse reads a line of the interface, without its indentation.
func (i *iface) parse(line string) {
	key, value, _ := strings.Cut(line, " ")
	switch key {
	case "description:":
		i.description = value
	case "groups:":
		i.groups = strings.Fields(value)
	case "member:":
		member, _, _ := strings.Cut(value, " ")
		i.members = append(i.members, member)
	case "inet":
		if p, ok := parseInet(strings.Fields(value)); ok {
			i.inet = append(i.inet, p)
		}
	case "inet6":
		i.inet6 = true
	}
}

// parseInet reads an IPv4 address and its netmask, as ifconfig(8) prints them:
// "10.192.0.1 netmask 0xffc00000", or "10.192.0.1/10" in its format cidr
// (sbin/ifconfig/af_inet.c, in_status_nl). An address with neither counts as
// /32.
func parseInet(words []string) (netip.Prefix, bool) {
	if len(words) == 0 {
		return netip.Prefix{}, false
	}
	if p, err := netip.ParsePrefix(words[0]); err == nil {
		return p, true
	}
	addr, err := netip.ParseAddr(words[0])
	if err != nil {
		return netip.Prefix{}, false
	}
	length := addr.BitLen()
	if at := slices.Index(words, "netmask"); at >= 0 && at+1 < len(words) {
		if mask, err := strconv.ParseUint(words[at+1], 0, 32); err == nil {
			length = bits.LeadingZeros32(^uint32(mask))
		}
	}
	return netip.PrefixFrom(addr, length), true
}
