package freebsd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// Anchors of pf.conf(5) that pot init puts there (share/pot/init.sh).
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

// natRules give packets of pots an address of the uplink, and of further uplinks
// those for the networks behind them. These come first: the first rule that matches
// counts (pf.conf(5), TRANSLATION). (IF:0) is the interface's first address when a
// packet leaves, not when the rule is loaded.
func natRules(c Config) string {
	var b strings.Builder
	for _, x := range c.Extra {
		if x.Network.IsValid() {
			fmt.Fprintf(&b, "nat on %s inet from %s to %s -> (%s:0)\n", x.Interface, c.Network.Prefix, x.Network, x.Interface)
		}
	}
	own := "(" + c.Interface + ":0)"
	if c.InterfaceAddr.Is4() {
		own = c.InterfaceAddr.String()
	}
	fmt.Fprintf(&b, "nat on %s inet from %s to any -> %s\n", c.Interface, c.Network.Prefix, own)
	return b.String()
}

// redirects are rdr rules, in an anchor for each pot. What comes from the host
// itself does not pass through them: that is for the supervisor's forwards.
type redirects struct {
	runner run.Runner
	kernel Kernel
	config Config
}

// Anchor implements pot.Redirects.
func (r redirects) Anchor(name pot.Name) string { return anchorOf(name) }

// Publish implements pot.Redirects.
func (r redirects) Publish(ctx context.Context, p pot.Redirect) error {
	if !havePF() {
		return nil
	}
	rules := r.rules(p.To, p.Ports)
	if r.config.PFRulesHook != "" {
		var err error
		if rules, err = r.askHook(ctx, p.To, p.Ports); err != nil {
			return fmt.Errorf("POT_EXPORT_PORTS_PF_RULES_HOOK: %w", err)
		}
	}
	if rules == "" && len(p.Ports) > 0 {
		return nil
	}
	return load(ctx, r.runner, p.Anchor, rules)
}

// askHook has the operator's program say the rules, port by port, in the place of
// ours. Its arguments are pot's (share/pot/start.sh).
func (r redirects) askHook(ctx context.Context, to netip.Addr, ports []pot.Port) (string, error) {
	names, err := r.kernel.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	var b strings.Builder
	for _, p := range ports {
		if p.Host.Addr().IsLoopback() {
			continue // of the host alone
		}
		out, err := r.runner.Run(ctx, nil, r.config.PFRulesHook, r.config.Interface, names[r.config.Network.Gateway],
			r.config.Network.Prefix.String(), r.config.Network.Gateway.String(),
			string(p.Proto), fmt.Sprint(p.Host.Port()), to.String(), fmt.Sprint(p.To))
		if err != nil {
			return "", err
		}
		b.WriteString(strings.TrimRight(out, "\n") + "\n")
	}
	return strings.TrimLeft(b.String(), "\n"), nil
}

// rules are those for what arrives on the uplinks.
func (r redirects) rules(to netip.Addr, ports []pot.Port) string {
	var b strings.Builder
	uplinks := []string{r.config.Interface}
	for _, x := range r.config.Extra {
		uplinks = append(uplinks, x.Interface)
	}
	for _, p := range ports {
		host := p.Host.Addr()
		if r.config.Interface == "" || host.IsLoopback() || host.Is4() != to.Is4() && !host.IsUnspecified() {
			continue
		}
		for i, uplink := range uplinks {
			target := host.String()
			switch {
			case !host.IsUnspecified():
			case i == 0 && r.config.InterfaceAddr.IsValid() && r.config.InterfaceAddr.Is4() == to.Is4():
				target = r.config.InterfaceAddr.String()
			default:
				target = "(" + uplink + ")"
			}
			fmt.Fprintf(&b, "rdr pass on %s %s proto %s from any to %s port %d -> %s port %d\n",
				uplink, family(to), p.Proto, target, p.Host.Port(), to, p.To)
		}
	}
	return b.String()
}

// Withdraw implements pot.Redirects. The states are ended after the rules, which
// would make new ones.
func (r redirects) Withdraw(ctx context.Context, p pot.Redirect) error {
	if !havePF() {
		return nil
	}
	anchors, err := r.anchors(p)
	errs := []error{err}
	for _, anchor := range anchors {
		_, err := r.runner.Run(ctx, nil, "pfctl", "-q", "-a", anchor, "-F", "nat")
		errs = append(errs, err)
	}
	if p.To.IsValid() {
		if err := r.kernel.KillStates(p.To); err != nil {
			errs = append(errs, fmt.Errorf("end the connections of %s: %w", p.To, err))
		}
	}
	return errors.Join(errs...)
}

// anchors returns the anchors that have a pot's rules, or may have: an old anchor that
// another pot may have too is left to the other while that runs.
func (r redirects) anchors(p pot.Redirect) ([]string, error) {
	switch {
	case p.Anchor != "":
		return []string{p.Anchor}, nil
	case p.Unpublished:
		return nil, nil
	}
	all := []string{anchorOf(p.Pot)}
	old := oldAnchorOf(p.Pot)
	if old == "" {
		return all, nil
	}
	jails, err := r.kernel.Jails()
	if err != nil {
		return all, fmt.Errorf("list jails: %w", err)
	}
	for _, name := range jails {
		if other := ofPot(pot.Name(name)); other != p.Pot && slices.Contains(anchorsOf(other), old) {
			return all, nil
		}
	}
	return append(all, old), nil
}
