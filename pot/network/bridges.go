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

// Bridges are the private ones that pot create-private-bridge has made: a file
// each, with its network, gateway and name (pot-reference 8.2).
type Bridges struct{ Dir string }

// maxBridges bounds how many are looked at.
const maxBridges = 10_000

// Find is the network of a bridge. One that was not made is fs.ErrNotExist.
func (b Bridges) Find(name string) (pot.Network, error) {
	if err := pot.ValidateBridge(name); err != nil {
		return pot.Network{}, fmt.Errorf("bridge: %w", err)
	}
	if b.Dir == "" {
		return pot.Network{}, fmt.Errorf("bridge %s: private bridges are kept nowhere: %w", name, fs.ErrNotExist)
	}
	root, err := os.OpenRoot(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return pot.Network{}, fmt.Errorf("bridge %s: %s is not there: %w", name, b.Dir, fs.ErrNotExist)
	}
	if err != nil {
		return pot.Network{}, fmt.Errorf("bridge %s: %w", name, err)
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return pot.Network{}, fmt.Errorf("bridge %s: %w", name, err)
	}
	defer f.Close()
	n, err := readBridge(f)
	if err != nil {
		return pot.Network{}, fmt.Errorf("bridge %s: %w", name, err)
	}
	return n, nil
}

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

// Networks are those of all private bridges: their addresses are not for pots on
// the public one.
func (b Bridges) Networks() ([]netip.Prefix, error) {
	list, err := b.List()
	var all []netip.Prefix
	for _, b := range list {
		all = append(all, b.Prefix)
	}
	return all, err
}
