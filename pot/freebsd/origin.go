package freebsd

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"nomad-driver-pot/image/conf"
)

// checkOrigin returns nil if what was received on the snapshot on is as good as on want.
// zfs receive puts a clone of a package on whatever snapshot of the pool has the GUID of
// its origin, and looks at the datasets next to it first (libzfs_sendrecv.c,
// guid_to_name_redact_snaps); -o origin says nothing to it there. So on the host that an
// image was made on, the pot that it was made of is found as well. A GUID alone proves
// nothing: an image has the GUIDs that its stream says.
func (d *datasets) checkOrigin(ctx context.Context, on, want string) error {
	refuse := func(why string) error {
		return fmt.Errorf("it is a layer on %s, and is to be on %s%s", on, want, why)
	}
	name, isTree := d.potOf(on)
	image, wantsTree := d.potOf(want)
	if !isTree || !wantsTree {
		return refuse("")
	}
	out, err := d.zfs(ctx, "get", "-Hp", "-s", "local,none", "-o", "name,property,value",
		strings.Join([]string{"guid", conf.LabelDigest, conf.LabelReceived}, ","), on, want, d.path(name), d.path(image))
	if err != nil {
		return fmt.Errorf("%w: %w", refuse(""), err)
	}
	all := propertiesOf(out)
	if guid := all[on]["guid"]; guid == "" || guid != all[want]["guid"] {
		return refuse("")
	}
	got := digestOf(all[d.path(name)], all[on]["guid"])
	if got != "" && got != digestOf(all[d.path(image)], all[want]["guid"]) {
		return refuse(": snapshots of both have the same GUID, and they are of images with different digests")
	}
	return nil
}

// potOf is the pot or image whose tree a snapshot is of, and none that is being imported.
func (d *datasets) potOf(snapshot string) (name string, isTree bool) {
	tree, _, _ := strings.Cut(snapshot, "@")
	name = path.Base(path.Dir(tree))
	return name, tree == d.path(name)+"/m" && valid(name) == nil && !strings.HasPrefix(name, conf.ImportPrefix)
}

// digestOf is that of the image that a snapshot came with; "" if it came with none. GUID
// is a decimal number.
func digestOf(labels map[string]string, guid string) string {
	n, err := strconv.ParseUint(guid, 10, 64)
	received := strings.Fields(labels[conf.LabelReceived])
	if err == nil && slices.Contains(received, strconv.FormatUint(n, 16)) {
		return received[0]
	}
	return labels[conf.LabelDigest]
}

// propertiesOf reads lines of zfs get -H -o name,property,value: by name, those that have
// a value.
func propertiesOf(out string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for line := range strings.Lines(out) {
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(words) != 3 || words[2] == "-" {
			continue
		}
		if all[words[0]] == nil {
			all[words[0]] = map[string]string{}
		}
		all[words[0]][words[1]] = words[2]
	}
	return all
}

// Labelled implements pot.Images.
func (d *datasets) Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error) {
	jails := d.root + "/jails"
	out, err := d.zfs(ctx, "get", "-Hp", "-d", "1", "-t", "filesystem", "-s", "local", "-o", "name,property,value", strings.Join(labels, ","), jails)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for dataset, labels := range propertiesOf(out) {
		if path.Dir(dataset) == jails {
			all[path.Base(dataset)] = labels
		}
	}
	return all, nil
}

// GUIDs implements pot.Images.
func (d *datasets) GUIDs(ctx context.Context, name string) (all []uint64, err error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	out, err := d.zfs(ctx, "list", "-Hp", "-r", "-t", "snapshot", "-o", "guid", d.path(name))
	if err != nil {
		return nil, err
	}
	for _, word := range strings.Fields(out) {
		guid, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("zfs list %s: GUID %q: %w", d.path(name), word, err)
		}
		all = append(all, guid)
	}
	return all, nil
}
