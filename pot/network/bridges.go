package network

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"nomad-driver-pot/pot"
)

// Bridges are the private bridges, as pot create-private-bridge makes them: Dir holds one file
// for each, with its network, gateway and name (pot, share/pot/create-private-bridge.sh). An
// empty Dir has none.
type Bridges struct{ Dir string }

// maxBridges bounds how many bridges are read.
const maxBridges = 10_000

// Find returns the network of a bridge. It returns fs.ErrNotExist if there is no such bridge.
func (b Bridges) Find(name string) (pot.Network, error) {
	if err := pot.ValidateBridge(name); err != nil {
		return pot.Network{}, fmt.Errorf("bridge: %w", err)
	}
	if b.Dir == "" {
		return pot.Network{}, notFound(name)
	}
	root, err := os.OpenRoot(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return pot.Network{}, notFound(name)
	}
	if err != nil {
		return pot.Network{}, fmt.Errorf("bridge %s: %w", name, err)
	}
	defer root.Close()
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return pot.Network{}, notFound(name)
	}
	if err != nil {
		return pot.Network{}, fmt.Errorf("bridge %s: %w", name, errors.Unwrap(err)) // without "openat"
	}
	defer f.Close()
	n, err := readBridge(f)
	if err != nil {
		return pot.Network{}, fmt.Errorf("bridge %s: %w", name, err)
	}
	return n, nil
}

func notFound(name string) error { return pot.Reword(fs.ErrNotExist, "no such bridge: %s", name) }

// readBridge reads the file of a bridge.
func readBridge(r io.Reader) (pot.Network, error) {
	var prefix, gateway string
	lines := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch key {
		case "net":
			prefix = value
		case "gateway":
			gateway = value
		}
	}
	if err := lines.Err(); err != nil {
		return pot.Network{}, err
	}
	return pot.ParseNetwork(prefix, gateway)
}

// Networks returns the networks of all private bridges: pots on the public bridge must not have
// their addresses.
func (b Bridges) Networks() ([]netip.Prefix, error) {
	list, err := b.List()
	var all []netip.Prefix
	for _, b := range list {
		all = append(all, b.Prefix)
	}
	return all, err
}
