package zstream

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
)

// pack is the beginning of a package: the BEGIN with the list, and its END. The list
// has what zfs receive needs of it (lib/libzfs/libzfs_sendrecv.c, zfs_receive_package and
// zfs_receive_one), and nothing that makes it look for other datasets: no "fromsnap", by
// which it renames and promotes what is there, and no GUID of a parent.
func (h head) pack() ([]byte, error) {
	var filesystems nvlist
	for i, d := range h.stream.Datasets {
		props := nvlist{}
		for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
			switch v := d.Properties[name].(type) {
			case uint64, string:
				props = append(props, nvpair{name, v})
			default:
				return nil, fmt.Errorf("dataset %q: property %q is neither a number nor a text", d.Name, name)
			}
		}
		var snaps nvlist
		for _, s := range d.Snapshots {
			snaps = append(snaps, nvpair{s.Name, s.GUID})
		}
		fs := nvlist{{"name", join(h.stream.Top, d.Name)}, {"parentfromsnap", uint64(0)}, {"props", props}, {"snaps", snaps}}
		if d.Origin != 0 {
			fs = append(fs, nvpair{"origin", d.Origin})
		}
		filesystems = append(filesystems, nvpair{fmt.Sprintf("%#x", i+1), fs})
	}
	list := nvlist{{"fss", filesystems}}
	if h.to != "" {
		list = append(nvlist{{"tosnap", h.to}}, list...)
	}
	var b bytes.Buffer
	out := &output{ctx: context.Background(), w: &b}
	err := out.put(begin, list.pack(), func(rec body) {
		rec.u64(0, magic)
		rec.u64(8, compound)
		copy(rec[48:303], h.dataset+"@"+h.Snapshot)
	})
	if err == nil {
		err = out.bareEnd(out.sum)
	}
	return b.Bytes(), err
}
