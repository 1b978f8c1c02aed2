package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/network"
)

// Bridges returns the private bridges of this host, sorted by name. Like pot, it ignores
// files that describe no bridge.
func (ps *Pots) Bridges() ([]network.Bridge, error) { return ps.bridges.List() }

// CreateBridge creates a private bridge with room for that many pots beside its gateway, in
// a part of the pots' network that no other bridge has and no pot's address is in. The
// interface is created with its first pot. A name that is taken is fs.ErrExist.
func (ps *Pots) CreateBridge(ctx context.Context, name string, pots int) (network.Bridge, error) {
	return ps.bridges.Create(name, pots, ps.network, func() ([]netip.Prefix, error) { return ps.taken(ctx, name) })
}

// ErrInUse is what others need.
var ErrInUse = errors.New("is in use")

// DestroyBridge forgets a private bridge. One that a pot is for is ErrInUse; none of
// that name is fs.ErrNotExist.
func (ps *Pots) DestroyBridge(ctx context.Context, name string) error {
	if _, err := ps.bridges.Find(name); errors.Is(err, fs.ErrNotExist) || pot.ValidateBridge(name) != nil {
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
	return ps.bridges.Remove(name)
}

// confs are the settings of all pots and images that can be read.
func (ps *Pots) confs(ctx context.Context) (map[string]conf.Image, error) {
	names, err := ps.host.Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	all := map[string]conf.Image{}
	for _, name := range names {
		dir, err := ps.host.Datasets.Dir(ctx, name)
		if err != nil {
			continue // it has gone meanwhile
		}
		if conf, err := conf.ReadDir(dir); err == nil {
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
	add(n.Prefix.Addr(), n.Broadcast(), n.Gateway)
	add(ps.reserved...)
	given, err := ps.addresses.All()
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
	bridges, err := ps.bridges.List()
	for _, b := range bridges {
		if b.Name != but {
			all = append(all, b.Prefix)
		}
	}
	return all, err
}
