package freebsd

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nomad-driver-pot/pot"
)

// network checks what connects pots with each other and with other networks. Problems
// there are Degraded, not Fatal: pots start without it.
func (c checker) network(ctx context.Context, add adder) {
	all, err := listInterfaces(ctx, c.runner)
	if err != nil {
		add(pot.Degraded, "uplink", "interfaces cannot be listed: %v", err)
	} else {
		c.uplinks(all, add)
		c.memberAddresses(all, add)
	}
	bridge := c.bridge(all, add)
	if on, err := c.kernel.Sysctl(forwarding); err != nil || on == 0 {
		add(pot.Degraded, "forwarding", "%s is 0: the packets of pots reach no other network: sysctl %[1]s=1; sysrc gateway_enable=YES", forwarding)
	}
	c.pf(ctx, bridge, add)
}

// uplinks checks the interfaces that POT_EXTIF and POT_EXTRA_EXTIF name.
func (c checker) uplinks(all []*iface, add adder) {
	settings := []struct{ name, key string }{{c.config.Interface, "POT_EXTIF"}}
	for _, x := range c.config.Extra {
		settings = append(settings, struct{ name, key string }{x.Interface, "POT_EXTRA_EXTIF"})
	}
	for _, s := range settings {
		if s.name == "" {
			continue
		}
		switch i := find(all, s.name); {
		case i == nil:
			add(pot.Degraded, "uplink", "%s %s is not there: set %[1]s in pot.conf to an interface of this host: %[3]s", s.key, s.name, strings.Join(candidates(all), ", "))
		case !i.up:
			add(pot.Degraded, "uplink", "%s %s is down: ifconfig %[2]s up", s.key, s.name)
		case s.key == "POT_EXTIF":
			add(pot.Info, "uplink", "%s", s.name)
		}
	}
}

// candidates names the interfaces that may be uplinks.
func candidates(all []*iface) []string {
	var names []string
	for _, i := range all {
		if !i.in("lo") && !i.in("epair") && !i.in(group) {
			names = append(names, i.name)
		}
	}
	return names
}

// memberAddresses reports a kernel that keeps the uplink out of the bridge where
// pots have their IPv6 from.
func (c checker) memberAddresses(all []*iface, add adder) {
	i := find(all, c.config.Interface)
	if i == nil || bridgeOf(all, i.name) != nil || mayJoin(c.kernel, i) == nil {
		return
	}
	add(pot.Degraded, "ipv6", "pots cannot have IPv6: %s is 0, so %s, which has an address, cannot join a bridge: %s",
		memberAddresses, i.name, mendMember(i.name))
}

// bridge checks the interface that has the gateway's address, and reports whether
// there is one. The first pot creates it and the last pot destroys it, so a missing bridge
// is no problem.
func (c checker) bridge(all []*iface, add adder) bool {
	gateway := c.config.Network.Gateway
	for _, i := range all {
		at := slices.IndexFunc(i.inet, func(p netip.Prefix) bool { return p.Addr() == gateway })
		if at < 0 {
			continue
		}
		want := netip.PrefixFrom(gateway, c.config.Network.Prefix.Bits())
		if !i.in("bridge") {
			add(pot.Degraded, "bridge", "%s has the pots' gateway %s and is no bridge: ifconfig %[1]s inet %[2]s -alias", i.name, gateway)
			return true
		}
		if i.inet[at] != want {
			add(pot.Degraded, "bridge", "%s has the pots' gateway as %s, not as %s: ifconfig %[1]s inet %[3]s alias", i.name, i.inet[at], want)
		}
		if !i.up {
			add(pot.Degraded, "bridge", "%s has the pots' gateway and is down: ifconfig %[1]s up", i.name)
		}
		if !i.in(group) {
			add(pot.Degraded, "bridge", "%s has the pots' gateway and is not in the interface group %s: ifconfig %[1]s group %[2]s", i.name, group)
		}
		return true
	}
	return false
}

// pf checks pf(4): whether it runs, and has the anchors and the rules that pots
// need. It reads the loaded rules, not pf.conf(5).
func (c checker) pf(ctx context.Context, bridge bool, add adder) {
	switch {
	case c.config.Interface == "":
		add(pot.Degraded, "pf", "no uplink is known: pots have no way out: set POT_EXTIF in pot.conf")
		return
	case !havePF():
		add(pot.Degraded, "pf", "pf is not loaded: pots have no way out: sysrc pf_enable=YES; service pf start")
		return
	}
	good := true
	lacks := func(text string, args ...any) {
		good = false
		add(pot.Degraded, "pf", text, args...)
	}
	// "Status: Enabled for 0 days 00:01:02", sbin/pfctl/pfctl_parser.c, print_status.
	switch out, err := c.runner.Run(ctx, nil, "pfctl", "-s", "info"); {
	case err != nil:
		lacks("pf cannot be asked whether it runs: %v", err)
	case !strings.Contains(out, "Status: Enabled"):
		lacks("pf is disabled: pots have no way out, and ports are published by supervisors alone: pfctl -e; sysrc pf_enable=YES")
	}
	c.anchors(ctx, lacks)
	if bridge {
		c.nat(ctx, lacks)
	}
	if good {
		add(pot.Info, "pf", "anchors")
	}
}

// anchors checks for pot's anchors in the main rules that are loaded.
func (c checker) anchors(ctx context.Context, lacks func(string, ...any)) {
	out, err := c.runner.Run(ctx, nil, "pfctl", "-s", "nat")
	if err != nil {
		lacks("pf cannot be asked for its anchors: %v", err)
		return
	}
	loaded := parsePF(out, nil, func(string) string { return "" })
	for _, anchor := range loaded.lacks() {
		line := strings.TrimSpace(anchor.line())
		switch {
		case c.inFile(ctx):
			lacks("pf has not loaded the line %s of its file: pots have no way out, or ports only by supervisors: pfctl -f %s", line, c.file())
		default:
			lacks("%s lacks the line %s: pots have no way out, or ports only by supervisors: pot init", c.file(), line)
		}
	}
}

// setup is pot init on this host, as far as pf's file goes.
func (c checker) setup() *setup { return &setup{runner: c.runner, config: c.config, root: c.root} }

// file is where pf's rules are.
func (c checker) file() string {
	r, err := c.setup().readPF()
	if err != nil {
		return defaultPF
	}
	return strings.TrimPrefix(r.path, c.root)
}

// inFile reports whether pf's file has pot's anchors.
func (c checker) inFile(ctx context.Context) bool {
	have, err := c.setup().anchors().have(ctx)
	return err == nil && have
}

// nat checks for the rule that gives packets of pots an address of the uplink. The
// start of a pot loads it; where somebody has flushed it since, the next start does.
func (c checker) nat(ctx context.Context, lacks func(string, ...any)) {
	out, err := c.runner.Run(ctx, nil, "pfctl", "-a", natAnchor, "-s", "nat")
	if err != nil {
		lacks("pf cannot be asked for the rules of %s: %v", natAnchor, err)
		return
	}
	if hasNAT(out, c.config) {
		return
	}
	c.routing.forget()
	var rules []string
	for rule := range strings.Lines(natRules(c.config)) {
		rules = append(rules, "'"+strings.TrimSpace(rule)+"'")
	}
	lacks("pf has no NAT rule of pots, which the next start of a pot loads: pots have no way out: printf '%%s\\n' %s | pfctl -a %s -f -",
		strings.Join(rules, " "), natAnchor)
}

// hasNAT reports whether rules, as pfctl(8) shows them, translate the pots' network
// on the uplink.
func hasNAT(rules string, c Config) bool {
	on, from := fmt.Sprintf("nat on %s ", c.Interface), fmt.Sprintf(" from %s to any ", c.Network.Prefix)
	for rule := range strings.Lines(rules) {
		if strings.HasPrefix(rule, on) && strings.Contains(rule, from) {
			return true
		}
	}
	return false
}
