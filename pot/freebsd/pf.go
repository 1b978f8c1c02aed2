package freebsd

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// Anchors of pf.conf(5) that pot init puts there (pot-reference 8.3, 8.5).
const (
	natAnchor = "pot-nat"
	rdrAnchor = "pot-rdr"
)

// pfDevice is there when pf is loaded. Without it pots reach no other network,
// and their ports are published by supervisors alone; Check says so.
var pfDevice = "/dev/pf"

func havePF() bool {
	_, err := os.Stat(pfDevice)
	return err == nil
}

// load replaces the translation rules of an anchor.
func load(ctx context.Context, r run.Runner, anchor, rules string) error {
	_, err := r.Run(ctx, strings.NewReader(rules), "pfctl", "-q", "-a", anchor, "-f", "-")
	return err
}

// nat is the pots' way out. The interface's first address is taken when a packet
// goes out, not when the rule is loaded.
func nat(ctx context.Context, r run.Runner, c Config) error {
	if c.Interface == "" || !havePF() {
		return nil
	}
	return load(ctx, r, natAnchor, fmt.Sprintf("nat on %s inet from %s to any -> (%s:0)\n", c.Interface, c.Network.Prefix, c.Interface))
}

// redirects are rdr rules, in an anchor for each pot. What comes from the host
// itself does not pass through them: that is for the supervisor's forwards.
type redirects struct {
	runner run.Runner
	extif  string
}

// anchorOf is pot's name for a pot's anchor: at most 55 characters, the last,
// without underscores before them (pot-reference 8.5).
func anchorOf(name pot.Name) string {
	s := string(name)
	if len(s) > 55 {
		s = strings.TrimLeft(s[len(s)-55:], "_")
	}
	return rdrAnchor + "/" + s
}

// Publish is pot.Redirects'.
func (r redirects) Publish(ctx context.Context, name pot.Name, to netip.Addr, ports []pot.Port) error {
	rules := r.rules(to, ports)
	if rules == "" || !havePF() {
		return nil
	}
	return load(ctx, r.runner, anchorOf(name), rules)
}

// rules are those for what arrives on the uplink.
func (r redirects) rules(to netip.Addr, ports []pot.Port) string {
	var b strings.Builder
	for _, p := range ports {
		host := p.Host.Addr()
		if r.extif == "" || host.IsLoopback() || host.Is4() != to.Is4() && !host.IsUnspecified() {
			continue
		}
		family, target := "inet", host.String()
		if to.Is6() {
			family = "inet6"
		}
		if host.IsUnspecified() {
			target = "(" + r.extif + ")"
		}
		fmt.Fprintf(&b, "rdr pass on %s %s proto %s from any to %s port %d -> %s port %d\n",
			r.extif, family, p.Proto, target, p.Host.Port(), to, p.To)
	}
	return b.String()
}

// Withdraw is pot.Redirects'. States that go on would reach the next pot with
// the address: they are ended.
func (r redirects) Withdraw(ctx context.Context, name pot.Name, from netip.Addr) error {
	if !havePF() {
		return nil
	}
	if _, err := r.runner.Run(ctx, nil, "pfctl", "-q", "-a", anchorOf(name), "-F", "nat"); err != nil {
		return err
	}
	if !from.IsValid() {
		return nil
	}
	_, err := r.runner.Run(ctx, nil, "pfctl", "-q", "-k", "0.0.0.0/0", "-k", from.String())
	return err
}
