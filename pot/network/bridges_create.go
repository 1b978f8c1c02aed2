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
	Name string
	pot.Network
}

// Create creates a bridge with room for that many pots, in the first free part of within. taken
// returns the networks and addresses, other than the new bridge's, that the part must not
// overlap. Create returns fs.ErrExist if the bridge exists.
func (b Bridges) Create(name string, pots int, within pot.Network, taken func() ([]netip.Prefix, error)) (Bridge, error) {
	if err := pot.ValidateBridge(name); err != nil {
		return Bridge{}, fmt.Errorf("bridge: %w", err)
	}
	bits, err := partFor(within, pots)
	if err != nil {
		return Bridge{}, err
	}
	if b.Dir == "" {
		return Bridge{}, errors.New("no directory is configured for private bridges")
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
		// A pot may have been allocated an address there before the bridge's file existed.
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

// partFor returns the length of the longest prefix in n with room for that many pots.
func partFor(n pot.Network, pots int) (bits int, err error) {
	const fewest = 2 // as with potnet new-net
	for bits = 30; bits > n.Prefix.Bits(); bits-- {
		const others = 3 // addresses of the network, the gateway and the broadcast
		if pots >= fewest && pots <= 1<<(32-bits)-others {
			return bits, nil
		}
	}
	return 0, fmt.Errorf("size: must be at least %d pots, and fewer than the addresses in %s, not %d", fewest, n.Prefix, pots)
}

// part returns the first prefix of that length in n that overlaps none of taken, or false.
func part(n pot.Network, bits int, taken []netip.Prefix) (netip.Prefix, bool) {
	for at := netip.PrefixFrom(n.Prefix.Addr(), bits); n.Prefix.Contains(at.Addr()); {
		i := slices.IndexFunc(taken, at.Overlaps)
		if i < 0 {
			return at, true
		}
		over := at // skip the larger of the two
		if taken[i].Bits() < bits {
			over = taken[i].Masked()
		}
		next := pot.Network{Prefix: over}.Broadcast().Next()
		at = netip.PrefixFrom(next, bits)
	}
	return netip.Prefix{}, false
}

// List returns all bridges that can be read, sorted by name.
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
		return nil, fmt.Errorf("%s: must hold at most %d private bridges, not %d", b.Dir, maxBridges, len(entries))
	}
	var all []Bridge
	for _, e := range entries {
		if n, err := b.Find(e.Name()); err == nil {
			all = append(all, Bridge{e.Name(), n})
		}
	}
	return all, nil
}

// write creates the file of a bridge, in the format of pot create-private-bridge.
func (b Bridges) write(made Bridge) error {
	root, err := os.OpenRoot(b.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.OpenFile(made.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return pot.Reword(fs.ErrExist, "bridge %s already exists", made.Name)
	}
	if err != nil {
		return fmt.Errorf("bridge %s: %w", made.Name, errors.Unwrap(err)) // without "openat"
	}
	_, err = fmt.Fprintf(f, "net=%s\ngateway=%s\nname=%s\n", made.Prefix, made.Gateway, made.Name)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(made.Name))
	}
	return nil
}

// Remove removes a bridge's file. It returns nil if there is none.
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
