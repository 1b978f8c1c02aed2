package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"nomad-driver-pot/pot"
)

// Bridge is a private bridge: pots on it reach each other and the host.
type Bridge struct {
	Name string `json:"name"`
	pot.Network
}

// Create creates the bridge, in the first free part of within. taken returns what a part
// must not overlap, but for the bridge itself. A name that is taken is fs.ErrExist.
func (b Bridges) Create(name string, pots int, within pot.Network, taken func() ([]netip.Prefix, error)) (Bridge, error) {
	if err := pot.ValidateBridge(name); err != nil {
		return Bridge{}, fmt.Errorf("bridge: %w", err)
	}
	bits, err := partFor(within, pots)
	if err != nil {
		return Bridge{}, err
	}
	if b.Dir == "" {
		return Bridge{}, errors.New("private bridges are kept nowhere")
	}
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return Bridge{}, err
	}
	for {
		others, err := taken()
		if err != nil {
			return Bridge{}, err
		}
		prefix, ok := part(within, bits, others)
		if !ok {
			return Bridge{}, fmt.Errorf("no part of %s is free for %d pots", within.Prefix, pots)
		}
		made := Bridge{name, pot.Network{Prefix: prefix, Gateway: prefix.Addr().Next()}}
		if err := b.write(made); err != nil {
			return Bridge{}, err
		}
		// A pot may have been given an address there before the bridge was known.
		others, err = taken()
		if err == nil && !overlaps(prefix, others) {
			return made, nil
		}
		if err = errors.Join(err, b.Remove(name)); err != nil {
			return Bridge{}, err
		}
	}
}

func overlaps(p netip.Prefix, taken []netip.Prefix) bool {
	return slices.ContainsFunc(taken, p.Overlaps)
}

// partFor is how long the prefix is of a part of n with room for that many pots.
func partFor(n pot.Network, pots int) (bits int, err error) {
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
func part(n pot.Network, bits int, taken []netip.Prefix) (netip.Prefix, bool) {
	for at := netip.PrefixFrom(n.Prefix.Addr(), bits); n.Prefix.Contains(at.Addr()); {
		i := slices.IndexFunc(taken, at.Overlaps)
		if i < 0 {
			return at, true
		}
		over := at // the larger of the two is passed over
		if taken[i].Bits() < bits {
			over = taken[i].Masked()
		}
		next := pot.Network{Prefix: over}.Broadcast().Next()
		at = netip.PrefixFrom(next, bits)
	}
	return netip.Prefix{}, false
}

// List are all that can be read, by name.
func (b Bridges) List() ([]Bridge, error) {
	if b.Dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(entries) > maxBridges {
		return nil, fmt.Errorf("%s: %d private bridges are too many", b.Dir, len(entries))
	}
	var all []Bridge
	for _, e := range entries {
		if n, err := b.Find(e.Name()); err == nil {
			all = append(all, Bridge{e.Name(), n})
		}
	}
	return all, nil
}

// write makes the file of a bridge, as pot create-private-bridge does.
func (b Bridges) write(made Bridge) error {
	root, err := os.OpenRoot(b.Dir)
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

// Remove takes the file away. None is no error.
func (b Bridges) Remove(name string) error {
	root, err := os.OpenRoot(b.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
