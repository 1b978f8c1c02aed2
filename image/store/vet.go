package store

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"nomad-driver-pot/image/zstream"
)

// A propertyRule is what becomes of a property that an image has.
type propertyRule int

const (
	forbidden propertyRule = iota // the image is not imported
	dropped                       // the image is imported without it
	kept
)

// propertyRules are the properties that are known of an image (zfsprops(7)). Kept are those by
// which its tree, and what a pot writes to it, is as where it was made. Dropped are those
// that say how a host stores and caches what it has, which is the operator's to say: they
// can double what is written, fill memory with a table for deduplication, or have writes
// not reach the disk. What acts beyond the image is refused, and so is what nobody knows.
var propertyRules = map[string]propertyRule{
	"aclinherit": kept, "aclmode": kept, "acltype": kept, "atime": kept, "casesensitivity": kept, "compression": kept,
	"dnodesize": kept, "longname": kept, "normalization": kept, "recordsize": kept, "relatime": kept, "utf8only": kept,
	"xattr": kept,

	"checksum": dropped, "copies": dropped, "dedup": dropped, "logbias": dropped, "prefetch": dropped,
	"primarycache": dropped, "redundant_metadata": dropped, "secondarycache": dropped, "snapdir": dropped,
	"special_small_blocks": dropped, "sync": dropped, "version": dropped,
}

// labelPrefix begins the user properties that are labels of this driver's, which no snapshot
// has.
const labelPrefix = "nomad.pot:"

// maxSnapshots is how many a dataset of an image may have: pot export -F sends all.
const maxSnapshots = 64

// vet is how a stream is looked at.
type vet struct{ layer bool } // .meta says what it is layered on

// stream says all that keeps s from being an image of a pot (pot-reference 3.2). It
// removes from s the properties that an image is imported without.
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
				if strings.HasPrefix(name, labelPrefix) {
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

// vetProperties removes from d what an image is imported without.
func vetProperties(top string, d zstream.Dataset, fault func(zstream.Dataset, string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
		value := d.Properties[name]
		switch ruleFor(path.Join(top, d.Name), name, value) {
		case dropped:
			delete(d.Properties, name)
		case forbidden:
			fault(d, "property %s=%v is none that an image may have", name, value)
		}
	}
}

// ruleFor is the fate of a property of a dataset, by its whole name.
func ruleFor(dataset, name string, value any) propertyRule {
	if strings.Contains(name, ":") {
		// A user's, which means nothing to ZFS, but may to programs of a host: one that
		// takes snapshots, for example. Labels of ours are in what is exported of a pot
		// that has some.
		if _, text := value.(string); !text { // as all of them are
			return forbidden
		}
		return dropped
	}
	if name == "mountpoint" && isBuilderMountpoint(dataset, value) {
		return dropped
	}
	is := propertyRules[name]
	if _, number := value.(uint64); !number { // as all that are not forbidden are, to libzfs
		return forbidden
	}
	return is
}

// isBuilderMountpoint tells whether a mount point is of the machine that the image was made
// on, where pots have it locally after a clone or a rename.
func isBuilderMountpoint(dataset string, mountpoint any) bool {
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
