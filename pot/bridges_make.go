package pot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
)

// Bridge is a private bridge: pots on it reach each other and the host.
type Bridge struct {
	Name string `json:"name"`
	Network
}

// Bridges are the private ones of this host, by name. A file that is none of a
// bridge is passed over, as by pot.
func (ps *Pots) Bridges() ([]Bridge, error) { return ps.bridges.list() }

// CreateBridge makes a private bridge with room for that many pots beside its gateway:
// the first part of the pots' network that no other has, nor any pot's address is in.
// One of that name is fs.ErrExist, and stays. The interface comes with its first pot.
func (ps *Pots) CreateBridge(ctx context.Context, name string, pots int) (Bridge, error) {
	if err := ValidateBridge(name); err != nil {
		return Bridge{}, fmt.Errorf("bridge: %w", err)
	}
	bits, err := ps.network.partFor(pots)
	if err != nil {
		return Bridge{}, err
	}
	if ps.bridges.dir == "" {
		return Bridge{}, errors.New("private bridges are kept nowhere")
	}
	if err := os.MkdirAll(ps.bridges.dir, 0o755); err != nil {
		return Bridge{}, err
	}
	for {
		taken, err := ps.taken(ctx, name)
		if err != nil {
			return Bridge{}, err
		}
		prefix, ok := ps.network.part(bits, taken)
		if !ok {
			return Bridge{}, fmt.Errorf("no part of %s is free for %d pots", ps.network.Prefix, pots)
		}
		b := Bridge{name, Network{Prefix: prefix, Gateway: prefix.Addr().Next()}}
		if err := ps.bridges.write(b); err != nil {
			return Bridge{}, err
		}
		// A pot may have taken an address there while nobody could know of the bridge.
		taken, err = ps.taken(ctx, name)
		if err == nil && !overlaps(prefix, taken) {
			return b, nil
		}
		if err = errors.Join(err, ps.bridges.remove(name)); err != nil {
			return Bridge{}, err
		}
	}
}

// ErrInUse is what others need.
var ErrInUse = errors.New("is in use")

// DestroyBridge forgets a private bridge. One that a pot is for is ErrInUse; none of
// that name is fs.ErrNotExist.
func (ps *Pots) DestroyBridge(ctx context.Context, name string) error {
	if _, err := ps.bridges.find(name); errors.Is(err, fs.ErrNotExist) || ValidateBridge(name) != nil {
		return err
	} // one that cannot be read is one that nobody needs
	confs, err := ps.confs(ctx)
	if err != nil {
		return err
	}
	for of, conf := range confs {
		if conf.Bridge == name {
			return fmt.Errorf("bridge %s: pot %s is for it: %w", name, of, ErrInUse)
		}
	}
	return ps.bridges.remove(name)
}

// confs are the settings of all pots and images that can be read.
func (ps *Pots) confs(ctx context.Context) (map[string]Conf, error) {
	names, err := ps.host.Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	all := map[string]Conf{}
	for _, name := range names {
		dir, err := ps.host.Datasets.Dir(ctx, name)
		if err != nil {
			continue // it has gone meanwhile
		}
		if conf, err := imageConf(dir); err == nil {
			all[name] = conf
		}
	}
	return all, nil
}

// taken are the addresses and networks that no new bridge may have, but for that of
// the bridge itself.
func (ps *Pots) taken(ctx context.Context, but string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	add := func(addrs ...netip.Addr) {
		for _, a := range addrs {
			if a.Is4() {
				all = append(all, netip.PrefixFrom(a, 32))
			}
		}
	}
	n := ps.network
	add(n.Prefix.Addr(), n.broadcast(), n.Gateway)
	add(ps.reserved...)
	given, err := ps.addresses.all()
	if err != nil {
		return nil, err
	}
	add(given...)
	confs, err := ps.confs(ctx)
	if err != nil {
		return nil, err
	}
	for _, conf := range confs {
		add(conf.Addresses...)
	}
	bridges, err := ps.bridges.list()
	for _, b := range bridges {
		if b.Name != but {
			all = append(all, b.Prefix)
		}
	}
	return all, err
}

func overlaps(p netip.Prefix, taken []netip.Prefix) bool {
	return slices.ContainsFunc(taken, p.Overlaps)
}

// partFor is how long the prefix is of a part of n with room for that many pots.
func (n Network) partFor(pots int) (bits int, err error) {
	const fewest = 2 // as with potnet new-net
	for bits = 30; bits > n.Prefix.Bits(); bits-- {
		const others = 3 // network, gateway and broadcast
		if pots >= fewest && pots <= 1<<(32-bits)-others {
			return bits, nil
		}
	}
	return 0, fmt.Errorf("size: must be %d pots or more, and fewer than %s has addresses, not %d", fewest, n.Prefix, pots)
}

// part is the first part of n with a prefix of that length that overlaps none.
func (n Network) part(bits int, taken []netip.Prefix) (netip.Prefix, bool) {
	for at := netip.PrefixFrom(n.Prefix.Addr(), bits); n.Prefix.Contains(at.Addr()); {
		i := slices.IndexFunc(taken, at.Overlaps)
		if i < 0 {
			return at, true
		}
		over := at // the larger of the two is passed over
		if taken[i].Bits() < bits {
			over = taken[i].Masked()
		}
		next := Network{Prefix: over}.broadcast().Next()
		at = netip.PrefixFrom(next, bits)
	}
	return netip.Prefix{}, false
}

// list are all that can be read, by name.
func (b bridges) list() ([]Bridge, error) {
	if b.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(entries) > maxBridges {
		return nil, fmt.Errorf("%s: %d private bridges are too many", b.dir, len(entries))
	}
	var all []Bridge
	for _, e := range entries {
		if n, err := b.find(e.Name()); err == nil {
			all = append(all, Bridge{e.Name(), n})
		}
	}
	return all, nil
}

// write makes the file of a bridge, as pot create-private-bridge does.
func (b bridges) write(made Bridge) error {
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.OpenFile(made.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", made.Name, err)
	}
	_, err = fmt.Fprintf(f, "net=%s\ngateway=%s\nname=%s\n", made.Prefix, made.Gateway, made.Name)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(made.Name))
	}
	return nil
}

// remove takes the file away. None is no error.
func (b bridges) remove(name string) error {
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
