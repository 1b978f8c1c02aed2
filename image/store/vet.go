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

// A propertyRule says what an import does with a property of an image.
type propertyRule int

const (
	forbidden propertyRule = iota // the image is not imported
	dropped                       // the image is imported without it
	kept
)

// propertyRules are the properties that an image may have (zfsprops(7)). Kept are the
// properties that the image's tree needs to behave as where it was made. Dropped are the
// properties of how a host stores and caches data, which the operator decides: they can
// double what is written, fill memory with a deduplication table, or keep writes from
// reaching the disk. Properties that act beyond the image, and unknown ones, are refused.
var propertyRules = map[string]propertyRule{
	"aclinherit": kept, "aclmode": kept, "acltype": kept, "atime": kept, "casesensitivity": kept, "compression": kept,
	"dnodesize": kept, "longname": kept, "normalization": kept, "recordsize": kept, "relatime": kept, "utf8only": kept,
	"xattr": kept,

	"checksum": dropped, "copies": dropped, "dedup": dropped, "logbias": dropped, "prefetch": dropped,
	"primarycache": dropped, "redundant_metadata": dropped, "secondarycache": dropped, "snapdir": dropped,
	"special_small_blocks": dropped, "sync": dropped, "version": dropped,
}

// labelPrefix begins the user properties that are this driver's labels. No snapshot has
// one.
const labelPrefix = "nomad.pot:"

// maxSnapshots bounds the snapshots of a dataset of an image: pot export -F sends all.
const maxSnapshots = 64

// vet checks the beginning of a stream, before a host gets any byte of it.
type vet struct{ layer bool } // .meta names an origin

// stream returns every reason why s is not an image of a pot, joined: pot export sends the
// pot's dataset and its child m with zfs send -R (share/pot/export.sh). It removes from s
// the dropped properties, so that zstream.CopyVerified leaves them out of the copy.
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

// nameOf returns a dataset's name below the top one, for messages.
func nameOf(d zstream.Dataset) string {
	if d.Name == "" {
		return "."
	}
	return d.Name
}

// vetProperties removes the dropped properties from d and reports the forbidden ones.
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

// ruleFor returns the rule for a property of a dataset; dataset is its full name.
func ruleFor(dataset, name string, value any) propertyRule {
	if strings.Contains(name, ":") {
		// A user property means nothing to ZFS, but may to programs of a host, such as one
		// that takes snapshots. An export of a labelled pot has this driver's labels.
		if _, text := value.(string); !text { // user properties are strings
			return forbidden
		}
		return dropped
	}
	if name == "mountpoint" && isBuilderMountpoint(dataset, value) {
		return dropped
	}
	is := propertyRules[name]
	if _, number := value.(uint64); !number { // in libzfs all that are not forbidden are numbers
		return forbidden
	}
	return is
}

// isBuilderMountpoint reports whether a mount point belongs to the machine that the image
// was made on: there a pot has it as a local property after a clone or a rename.
func isBuilderMountpoint(dataset string, mountpoint any) bool {
	at, ok := mountpoint.(string)
	return ok && path.IsAbs(at) && path.Base(at) == path.Base(dataset)
}

// vetEntry returns an error for an entry that no image may have. Only the host uses the
// top dataset: it mounts the child m on a directory there and reads conf. A symbolic link
// in their place would lead the host elsewhere.
func vetEntry(e zstream.Entry) error {
	if e.Dataset == "" && !e.Mode.IsDir() && !e.Mode.IsRegular() {
		return fmt.Errorf("%q: the top dataset is to have directories and files, and nothing of mode %v", "/"+e.Path, e.Mode)
	}
	return nil
}
