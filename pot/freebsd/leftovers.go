package freebsd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// leftovers finds datasets, interfaces, rules and anchors of pots.
type leftovers struct {
	runner   run.Runner
	kernel   JailKernel
	datasets *datasets
	links    *links
}

// find implements Host.Leftovers. An epair with both ends on the host, a rule or
// an anchor belongs to a pot whose jail is gone or is being created.
func (l leftovers) find(ctx context.Context, known []pot.Name) ([]pot.Name, error) {
	all, err := l.labelled(ctx)
	if err != nil {
		return nil, err
	}
	jails, err := l.kernel.Jails()
	if err != nil {
		return nil, fmt.Errorf("list jails: %w", err)
	}
	running := map[pot.Name]bool{}
	known = slices.Concat(known, all)
	for _, name := range jails {
		running[ofPot(pot.Name(name))] = true
		known = append(known, ofPot(pot.Name(name)))
	}
	slices.Sort(known)
	known = slices.Compact(known)
	var loose []pot.Name
	for _, find := range []func(context.Context) ([]pot.Name, error){
		l.pairs, l.rules,
		func(ctx context.Context) ([]pot.Name, error) { return l.redirected(ctx, known) },
	} {
		names, err := find(ctx)
		if err != nil {
			return nil, err
		}
		loose = append(loose, names...)
	}
	for _, name := range loose {
		if name.Validate() == nil && !running[name] {
			all = append(all, name)
		}
	}
	return all, nil
}

// labelled returns the pots that have a dataset.
func (l leftovers) labelled(ctx context.Context) (all []pot.Name, err error) {
	names, err := l.datasets.zfs.WithProperty(ctx, l.datasets.root+"/jails", conf.LabelTask)
	for _, name := range names {
		all = append(all, pot.Name(name))
	}
	return all, err
}

// pairs returns the pots of epairs of which both ends are on the host: no jail has the
// other.
func (l leftovers) pairs(ctx context.Context) ([]pot.Name, error) {
	interfaces, err := l.links.interfaces(ctx)
	if err != nil {
		return nil, err
	}
	here := map[string]bool{}
	for _, i := range interfaces {
		here[i.name] = true
	}
	var all []pot.Name
	for _, i := range interfaces {
		if i.in("epair") && i.in(group) && i.description != "" && here[inner(i.name)] && inner(i.name) != i.name {
			all = append(all, pot.Name(strings.TrimSuffix(i.description, behindIPv6)))
		}
	}
	return all, nil
}

// rules returns the pots that have rules of rctl(8), which outlive their jail. Without
// accounting there are none.
func (l leftovers) rules(ctx context.Context) ([]pot.Name, error) {
	out, err := l.runner.Run(ctx, nil, "rctl")
	if err = classify(err); errors.Is(err, errNoRacct) {
		return nil, nil
	}
	var all []pot.Name
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "jail:"); ok {
			name, _, _ := strings.Cut(rest, ":")
			all = append(all, ofPot(pot.Name(name)))
		}
	}
	return all, err
}

// redirected returns the pots whose anchors have rules.
func (l leftovers) redirected(ctx context.Context, known []pot.Name) ([]pot.Name, error) {
	if !havePF() {
		return nil, nil
	}
	out, err := l.runner.Run(ctx, nil, "pfctl", "-q", "-a", rdrAnchor, "-s", "Anchors")
	if run.Says(err, "not found") || run.Says(err, "DIOCGETRULESETS: No such file or directory") {
		return nil, nil // rdrAnchor itself is missing; the second is 14.2's text
	}
	var anchors []string
	for line := range strings.Lines(out) {
		if anchor, ok := strings.CutPrefix(strings.TrimSpace(line), rdrAnchor+"/"); ok {
			anchors = append(anchors, anchor)
		}
	}
	return ownersOf(anchors, known), err
}
