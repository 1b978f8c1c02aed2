package image

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"nomad-driver-pot/image/zstream"
)

// tolerated are the properties that an image's datasets may have (zfsprops(7)): how
// they are stored. What would act on a host beyond the image is not among them, and
// neither is what nobody knows; hosts take none of the others, and it is told that
// an image has them before a byte of it reaches a kernel.
var tolerated = map[string]bool{
	"aclinherit": true, "aclmode": true, "acltype": true, "atime": true, "casesensitivity": true, "checksum": true,
	"compression": true, "copies": true, "dedup": true, "dnodesize": true, "logbias": true, "longname": true,
	"normalization": true, "prefetch": true, "primarycache": true, "recordsize": true, "redundant_metadata": true,
	"relatime": true, "secondarycache": true, "snapdir": true, "special_small_blocks": true, "sync": true, "utf8only": true,
	"version": true, "xattr": true,
}

// ours begins the user properties that are labels of this driver's, which no snapshot
// has.
const ours = "nomad.pot:"

// maxSnapshots is how many a dataset of an image may have: pot export -F sends all.
const maxSnapshots = 64

// vet is how a stream is looked at.
type vet struct{ layer bool } // .meta says what it is layered on

// stream says all that keeps s from being an image of a pot (pot-reference 3.2).
func (v vet) stream(s *zstream.Stream) error {
	if !s.Package {
		return errors.New("no image of a pot: it is not of zfs send -R")
	}
	var errs []error
	fault := func(d zstream.Dataset, rule string, args ...any) {
		errs = append(errs, fmt.Errorf("dataset %q: "+rule, append([]any{nameOf(d)}, args...)...))
	}
	var names []string
	for _, d := range s.Datasets {
		names = append(names, d.Name)
		switch tree := d.Name == "m"; {
		case d.Origin != 0 && !v.layer:
			fault(d, "it is a layer on snapshot %#x, and .meta names none", d.Origin)
		case d.Origin != 0 && !tree:
			fault(d, "it is a layer, and only m may be one")
		case d.Origin == 0 && v.layer && tree:
			fault(d, "it is no layer, and .meta says what it is layered on")
		}
		if len(d.Snapshots) > maxSnapshots {
			fault(d, "it has %d snapshots, and at most %d are taken", len(d.Snapshots), maxSnapshots)
		}
		vetProperties(s.Top, d, fault)
		for _, snapshot := range d.Snapshots {
			for _, name := range slices.Sorted(maps.Keys(snapshot.Properties)) {
				if strings.HasPrefix(name, ours) {
					fault(d, "snapshot %s: property %s is this driver's own", snapshot.Name, name)
				}
			}
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"", "m"}) {
		errs = append(errs, fmt.Errorf("no image of a pot: it is to have a child m, and no others, not %q", names))
	}
	return errors.Join(errs...)
}

// nameOf is a dataset's name below the top one, for people.
func nameOf(d zstream.Dataset) string {
	if d.Name == "" {
		return "."
	}
	return d.Name
}

func vetProperties(top string, d zstream.Dataset, fault func(zstream.Dataset, string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
		switch value := d.Properties[name]; {
		case tolerated[name]:
		case strings.Contains(name, ":"):
			// A user's, which means nothing to ZFS. Labels of ours are in what is
			// exported of a pot that has some; no host takes them from a stream.
		case name == "mountpoint" && builders(path.Join(top, d.Name), value):
		default:
			fault(d, "property %s=%v is none that an image may have", name, value)
		}
	}
}

// builders tells whether a mount point is of the machine that the image was made
// on, where pots have it locally after a clone or a rename. No host takes it.
func builders(dataset string, mountpoint any) bool {
	at, ok := mountpoint.(string)
	return ok && path.IsAbs(at) && path.Base(at) == path.Base(dataset)
}

// vetEntry says what keeps a name from being in an image. The top dataset is for the
// host alone, which mounts the child m on a directory of it and reads conf: where a
// link is there instead, a host follows it.
func vetEntry(e zstream.Entry) error {
	if e.Dataset == "" && !e.Mode.IsDir() && !e.Mode.IsRegular() {
		return fmt.Errorf("%q: the top dataset is to have directories and files, and nothing of mode %v", "/"+e.Path, e.Mode)
	}
	return nil
}
