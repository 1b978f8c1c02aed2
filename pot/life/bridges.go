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
// a part of the pots' network that overlaps no other bridge and no pot's address. The
// interface is created with its first pot. It returns fs.ErrExist if the bridge exists.
func (ps *Pots) CreateBridge(ctx context.Context, name string, pots int) (network.Bridge, error) {
	return ps.bridges.Create(name, pots, ps.network, func() ([]netip.Prefix, error) { return ps.taken(ctx, name) })
}

// ErrInUse is returned for a bridge that pots need.
var ErrInUse = errors.New("in use")

// DestroyBridge destroys a private bridge. It returns ErrInUse if a pot or an image is
// configured for the bridge, and fs.ErrNotExist if there is no such bridge.
func (ps *Pots) DestroyBridge(ctx context.Context, name string) error {
	if _, err := ps.bridges.Find(name); errors.Is(err, fs.ErrNotExist) || pot.ValidateBridge(name) != nil {
		return err
	} // a damaged file may be removed: no pot can use its bridge
	confs, err := ps.confs(ctx)
	if err != nil {
		return err
	}
	for user, conf := range confs {
		if conf.Bridge == name {
			return fmt.Errorf("bridge %s: %w by pot %s", name, ErrInUse, user)
		}
	}
	return ps.bridges.Remove(name)
}

// confs returns the pot.conf of each pot and image, by its name, without those that cannot
// be read.
func (ps *Pots) confs(ctx context.Context) (map[string]conf.Image, error) {
	names, err := ps.host.Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	all := map[string]conf.Image{}
	for _, name := range names {
		dir, err := ps.host.Datasets.Dir(ctx, name)
		if err != nil {
			continue // it was destroyed meanwhile
		}
		if conf, err := conf.ReadDir(dir); err == nil {
			all[name] = conf
		}
	}
	return all, nil
}

// taken returns the addresses and networks that a new bridge must not overlap. The bridge
// named but is left out.
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
