package zstream

import (
	"errors"
	"fmt"
)

// contents is what a package (`zfs send -R`) says that it holds, in the list
// behind its BEGIN (OpenZFS lib/libzfs/libzfs_sendrecv.c, send_prelim_records
// and send_iterate_fs).
type contents struct {
	snapshots map[string]uint64 // GUID by "dataset@snapshot"
}

// parseContents reads the list, and refuses what is not one full snapshot of
// each dataset.
func parseContents(buf []byte) (*contents, error) {
	list, err := unpackList(buf)
	if err != nil {
		return nil, err
	}
	if from := list.find("fromsnap"); from != nil {
		return nil, fmt.Errorf("the package is incremental, from snapshot %q: not supported yet", from)
	}
	if list.has("raw") {
		return nil, errors.New("raw (encrypted) packages are not supported yet")
	}
	filesystems, ok := list.find("fss").(nvlist)
	if !ok || len(filesystems) == 0 {
		return nil, errors.New("list: it has no datasets")
	}
	c := &contents{snapshots: map[string]uint64{}}
	for _, p := range filesystems {
		fs, _ := p.value.(nvlist)
		name, ok := fs.find("name").(string)
		if !ok {
			return nil, fmt.Errorf("list: dataset %s has no name", p.name)
		}
		snapshots, _ := fs.find("snaps").(nvlist)
		if len(snapshots) != 1 {
			return nil, fmt.Errorf("dataset %q has %d snapshots in the package: only one is supported yet", name, len(snapshots))
		}
		guid, ok := snapshots[0].value.(uint64)
		if !ok {
			return nil, fmt.Errorf("list: snapshot %q of dataset %q has no GUID", snapshots[0].name, name)
		}
		c.snapshots[name+"@"+snapshots[0].name] = guid
	}
	return c, nil
}

// check tells whether a substream is one that was announced.
func (c *contents) check(b beginning) error {
	name := b.dataset + "@" + b.Snapshot
	guid, ok := c.snapshots[name]
	if !ok {
		return fmt.Errorf("%q is not in the list of the package", name)
	}
	if guid != b.GUID {
		return fmt.Errorf("%q is of GUID %#x in the list of the package, %#x here", name, guid, b.GUID)
	}
	return nil
}
