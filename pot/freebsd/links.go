package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/flock"
	"nomad-driver-pot/pot/run"
)

// links are epair(4)s on bridges, one for each family of addresses. A pot's epairs
// are found by their description and their group.
type links struct {
	runner  run.Runner
	kernel  Kernel
	config  Config
	routing *routing

	mu    sync.Mutex
	known map[pot.Name]attached // by this process
}

// pairs are the host's ends of a pot's epairs; "" where it has none.
type pairs struct{ v4, v6 string }

// attached has a pot's pairs and their bridges.
type attached struct {
	pairs
	bridge4, bridge6 string
}

const (
	group = "pot" // of interfaces: pot's own

	// behindIPv6 is in the description of a pair, behind the pot's name.
	behindIPv6 = " IPv6"
)

// ifconfig runs ifconfig(8) and returns what it prints, trimmed.
func (l *links) ifconfig(ctx context.Context, argv ...string) (string, error) {
	out, err := l.runner.Run(ctx, nil, append([]string{"ifconfig"}, argv...)...)
	return strings.TrimSpace(out), classify(err)
}

// interfaces returns all interfaces of the host.
func (l *links) interfaces(ctx context.Context) ([]*iface, error) {
	return listInterfaces(ctx, l.runner)
}

// of returns the host's ends of a pot's pairs.
func of(all []*iface, name pot.Name) (p pairs) {
	for _, i := range all {
		if !i.in("epair") || !i.in(group) {
			continue
		}
		switch i.description {
		case string(name):
			p.v4 = i.name
		case string(name) + behindIPv6:
			p.v6 = i.name
		}
	}
	return p
}

// Attach is pot.Links'. The pair exists on the host until jail(8) moves its end into the
// jail: after a crash leftovers find it by both ends.
func (l *links) Attach(ctx context.Context, link pot.Link) (err error) {
	unlock, err := flock.Lock(ctx, l.config.LockFile)
	if err != nil {
		return err
	}
	defer unlock()
	l.mu.Lock()
	_, there := l.known[link.Pot]
	l.mu.Unlock()
	if there {
		return &fs.PathError{Op: "attach", Path: string(link.Pot), Err: fs.ErrExist}
	}
	var made attached
	defer func() {
		if err != nil {
			err = errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return l.undo(ctx, made.pairs) }))
		}
	}()
	if link.Address.IsValid() {
		if made.bridge4, err = l.bridge(ctx, link); err != nil {
			return err
		}
		if err := l.pair(ctx, made.bridge4, string(link.Pot), &made.v4); err != nil {
			return err
		}
	}
	if link.IPv6 {
		if made.bridge6, err = l.uplinkBridge(ctx); err != nil {
			return err
		}
		if err := l.pair(ctx, made.bridge6, string(link.Pot)+behindIPv6, &made.v6); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[link.Pot] = made
	return nil
}

// pair creates an epair and puts the host's end, whose name it sets, on a bridge. A member
// of a bridge that is private exchanges no packets with other private members (ifconfig(8),
// private), but with the bridge's own address.
func (l *links) pair(ctx context.Context, bridge, description string, device *string) (err error) {
	if *device, err = l.create(ctx, "epair", description); err != nil {
		return err
	}
	add := []string{bridge, "addm", *device}
	if l.config.Isolate {
		add = append(add, "private", *device)
	}
	_, err = l.ifconfig(ctx, add...)
	return err
}

// undo destroys pairs that were not attached, and bridges with no pot on them.
func (l *links) undo(ctx context.Context, made pairs) error {
	err := l.destroy(ctx, made)
	all, listed := l.interfaces(ctx)
	if listed != nil {
		return errors.Join(err, listed)
	}
	return errors.Join(err, l.dropBridges(ctx, all))
}

// destroy destroys pairs. pot waits a second before each, since destroying an epair could
// panic kernels before FreeBSD 13.1 (commit f4aba8c9f0c).
func (l *links) destroy(ctx context.Context, p pairs) error {
	for _, device := range []string{p.v4, p.v6} {
		if device == "" {
			continue
		}
		if err := l.drop(ctx, device); err != nil {
			return err
		}
	}
	return nil
}

// Detach is pot.Links'. It destroys bridges without pots also when the pairs are gone
// already.
func (l *links) Detach(ctx context.Context, name pot.Name) error {
	unlock, err := flock.Lock(ctx, l.config.LockFile)
	if err != nil {
		return err
	}
	defer unlock()
	known, more := l.forget(name)
	if more {
		return l.destroy(ctx, known)
	}
	all, err := l.interfaces(ctx)
	if err != nil {
		return err
	}
	gone := of(all, name)
	if err := errors.Join(l.destroy(ctx, gone), l.dropHalfMade(ctx, all)); err != nil {
		return err
	}
	for _, b := range all {
		b.members = slices.DeleteFunc(b.members, func(m string) bool { return m == gone.v4 || m == gone.v6 })
	}
	return l.dropBridges(ctx, all)
}

// forget removes a pot from known, and returns its pairs and whether known has more pots on
// the same bridges, which stay.
func (l *links) forget(name pot.Name) (p pairs, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone, ok := l.known[name]
	delete(l.known, name)
	if !ok {
		return pairs{}, false
	}
	on4, on6 := gone.bridge4 == "", gone.bridge6 == ""
	for _, other := range l.known {
		on4 = on4 || other.bridge4 == gone.bridge4
		on6 = on6 || other.bridge6 == gone.bridge6
	}
	return gone.pairs, on4 && on6
}

// devices returns the host's ends of a pot's pairs.
func (l *links) devices(ctx context.Context, name pot.Name) (pairs, error) {
	l.mu.Lock()
	here, ok := l.known[name]
	l.mu.Unlock()
	if ok {
		return here.pairs, nil
	}
	all, err := l.interfaces(ctx)
	if err != nil {
		return pairs{}, err
	}
	p := of(all, name)
	if p == (pairs{}) {
		return pairs{}, fmt.Errorf("interface of %s: %w", name, fs.ErrNotExist)
	}
	return p, nil
}

// inner returns the name of the pot's end of a pair, given the host's end (epair(4)).
func inner(device string) string {
	if device == "" {
		return ""
	}
	return strings.TrimSuffix(device, "a") + "b"
}
