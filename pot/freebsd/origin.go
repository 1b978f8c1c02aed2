package freebsd

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"nomad-driver-pot/image/conf"
)

// checkOrigin returns nil if an image that was received on the snapshot on is as good as one
// on want.
// zfs receive puts a clone of a package on whatever snapshot of the pool has the GUID of
// its origin, and looks at the datasets next to it first (libzfs_sendrecv.c,
// guid_to_name_redact_snaps); -o origin has no effect there. So on the host where an
// image was built, it may choose the pot that the image was built from. A GUID alone proves
// nothing: an image has the GUIDs that its stream says.
func (d *datasets) checkOrigin(ctx context.Context, on, want string) error {
	refuse := func(why string) error {
		return fmt.Errorf("it is a layer on %s, and must be on %s%s", on, want, why)
	}
	name, isTree := d.potOf(on)
	image, wantsTree := d.potOf(want)
	if !isTree || !wantsTree {
		return refuse("")
	}
	all, err := d.zfs.Properties(ctx, []string{"guid", conf.LabelDigest, conf.LabelReceived}, on, want, d.path(name), d.path(image))
	if err != nil {
		return fmt.Errorf("%w: %w", refuse(""), err)
	}
	if guid := all[on]["guid"]; guid == "" || guid != all[want]["guid"] {
		return refuse("")
	}
	got := digestOf(all[d.path(name)], all[on]["guid"])
	if got != "" && got != digestOf(all[d.path(image)], all[want]["guid"]) {
		return refuse(": snapshots of both have the same GUID, and their images have different digests")
	}
	return nil
}

// potOf returns the pot or image whose tree a snapshot belongs to; isTree is false for
// another dataset's, and for an import's.
func (d *datasets) potOf(snapshot string) (name string, isTree bool) {
	tree, _, _ := strings.Cut(snapshot, "@")
	name = path.Base(path.Dir(tree))
	return name, tree == d.path(name)+"/m" && valid(name) == nil && !strings.HasPrefix(name, conf.ImportPrefix)
}

// digestOf returns the digest of the image that a snapshot came with, "" if there is none. GUID
// is a decimal number.
func digestOf(labels map[string]string, guid string) string {
	n, err := strconv.ParseUint(guid, 10, 64)
	received := strings.Fields(labels[conf.LabelReceived])
	if err == nil && slices.Contains(received, strconv.FormatUint(n, 16)) {
		return received[0]
	}
	return labels[conf.LabelDigest]
}

// Labelled implements pot.Images.
func (d *datasets) Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error) {
	jails := d.root + "/jails"
	found, err := d.zfs.ChildProperties(ctx, jails, labels...)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for dataset, labels := range found {
		if path.Dir(dataset) == jails {
			all[path.Base(dataset)] = labels
		}
	}
	return all, nil
}

// Created implements pot.Images.
func (d *datasets) Created(ctx context.Context) (map[string]time.Time, error) {
	return d.zfs.Created(ctx, d.root+"/jails")
}

// GUIDs implements pot.Images.
func (d *datasets) GUIDs(ctx context.Context, name string) ([]uint64, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	return d.zfs.GUIDs(ctx, d.path(name))
}
