//go:build linux

package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// leftovers finds what is left of pots. A name may come several times.
type leftovers struct {
	datasets datasets
	jails    jails
}

// find implements pot.Host's Leftovers. Control groups have no owner but their name, and go with
// what else is found of their pot.
func (l leftovers) find(context.Context, []pot.Name) ([]pot.Name, error) {
	labelled, err := names(filepath.Join(l.datasets.dir, "labels"))
	if err != nil {
		return nil, err
	}
	var all []pot.Name
	for _, name := range labelled {
		if f, err := l.datasets.readLabels(string(name)); err == nil && f.Labels[conf.LabelTask] != "" {
			all = append(all, name)
		}
	}
	jails, err := names(l.jails.dir)
	if err != nil {
		return nil, err
	}
	pairs, err := loosePairs()
	return slices.Concat(all, jails, l.jails.networks.names(), pairs), err
}

// names returns the names of the files in a directory; none if it does not exist.
func names(dir string) ([]pot.Name, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []pot.Name
	for _, e := range entries {
		all = append(all, pot.Name(e.Name()))
	}
	return all, err
}

// loosePairs returns the pots whose pairs have both ends on the host. Of a pair whose pot
// is in a jail, the other end is in another network namespace.
func loosePairs() ([]pot.Name, error) {
	links, err := retryInterrupted(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var all []pot.Name
	for _, l := range links {
		a := l.Attrs()
		if host, _ := vethNames(pot.Name(a.Alias)); l.Type() == "veth" && a.Name == host && a.NetNsID < 0 {
			all = append(all, pot.Name(a.Alias))
		}
	}
	return all, nil
}
