package life

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/network"
)

// known reports whether there is a pot of that name, or a record of one. A host that does
// not say is no reason to give away what is a pot's.
func (ps *Pots) known(name pot.Name) bool {
	if _, err := os.Lstat(filepath.Join(ps.dir, string(name))); err == nil || ps.host.Datasets == nil {
		return true
	}
	_, err := ps.host.Datasets.Dir(context.Background(), string(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// holder is the pot, other than one, that has addr by its record or, where that is damaged
// too, by its pot.conf. "" is none.
func (ps *Pots) holder(addr netip.Addr, other pot.Name) pot.Name {
	all, _ := ps.List()
	for _, name := range all {
		if name == other {
			continue
		}
		r, err := readRecord(filepath.Join(ps.dir, string(name)))
		if err == nil && r.has(addr) {
			return name
		}
		if err == nil {
			continue
		}
		dir, err := ps.host.Datasets.Dir(context.Background(), string(name))
		if err != nil {
			continue
		}
		if conf, err := conf.ReadDir(dir); err == nil && slices.Contains(conf.Addresses, addr) {
			return name
		}
	}
	return ""
}

// has reports whether the pot has an address, by its record.
func (r *record) has(addr netip.Addr) bool {
	alias := func(a pot.InterfaceAddr) bool { return a.Addr == addr }
	return r.Address == addr || r.Address.IsValid() && slices.ContainsFunc(r.Spec.Aliases, alias)
}

// addressesInUse returns the addresses that a pot on such a bridge must not be given: those
// that the configuration reserves, those of pots that were not started here, and for the
// public bridge those of private ones. The shell tool pot shares the networks, and allocates
// what no pot.conf says (pot-reference 8.4). A pot.conf that cannot be read is ignored.
// image is any dataset of this host's pots and images.
func (ps *Pots) addressesInUse(ctx context.Context, image string, mode pot.NetworkMode) (network.InUse, error) {
	all := network.InUse{Addrs: map[netip.Addr]bool{}}
	if mode == pot.PublicBridge {
		var err error
		if all.Networks, err = ps.bridges.Networks(); err != nil {
			return network.InUse{}, err
		}
	}
	dir, err := ps.host.Datasets.Dir(ctx, image)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil // the clone's error says it
	}
	if err != nil {
		return network.InUse{}, err
	}
	for _, addr := range ps.reserved {
		all.Addrs[addr] = true
	}
	ours, err := namesIn(ps.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // before the first pot
		return network.InUse{}, err
	}
	jails := filepath.Dir(dir)
	there, err := namesIn(jails)
	if err != nil {
		return network.InUse{}, err
	}
	for name := range there {
		if ours[name] {
			continue // its address is a file
		}
		conf, err := conf.ReadDir(filepath.Join(jails, name))
		if err != nil {
			continue
		}
		for _, addr := range conf.Addresses {
			all.Addrs[addr] = true
		}
	}
	return all, nil
}

// namesIn returns the names of a directory's entries.
func namesIn(dir string) (map[string]bool, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	return all, err
}
