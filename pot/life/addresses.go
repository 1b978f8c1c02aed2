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

// known reports whether a pot of that name, or its record, exists. If the host cannot tell,
// it returns true: a pot's address must not be given to another.
func (ps *Pots) known(name pot.Name) bool {
	if _, err := os.Lstat(filepath.Join(ps.dir, string(name))); err == nil || ps.host.Datasets == nil {
		return true
	}
	_, err := ps.host.Datasets.Dir(context.Background(), string(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// holder returns the pot, not other, that has addr by its record or, if the record is
// damaged, by its pot.conf; "" if there is none.
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

// has reports whether the record gives the pot addr.
func (r *record) has(addr netip.Addr) bool {
	alias := func(a pot.InterfaceAddr) bool { return a.Addr == addr }
	if r.Spec.Network == pot.Joined {
		return false
	}
	return r.Address == addr || r.Address.IsValid() && slices.ContainsFunc(r.Spec.Aliases, alias)
}

// addressesInUse returns the addresses that no pot on a bridge of that mode may be given:
// the addresses that the configuration reserves, the addresses of pots that the shell tool
// pot has created, and for the public bridge the networks of the private bridges. The shell
// tool shares the networks, and allocates addresses that no pot.conf has (potnet next). A
// pot.conf that cannot be read is ignored. image is the name of any dataset beside the pots'.
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
		return all, nil // the clone step reports the missing image
	}
	if err != nil {
		return network.InUse{}, err
	}
	for _, addr := range ps.reserved {
		all.Addrs[addr] = true
	}
	ours, err := namesIn(ps.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the first pot creates ps.dir
		return network.InUse{}, err
	}
	jails := filepath.Dir(dir)
	names, err := namesIn(jails)
	if err != nil {
		return network.InUse{}, err
	}
	for name := range names {
		if ours[name] {
			continue // pots of this package have their addresses in network.Addresses
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
