package zstream

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// pack returns the list of a package and its END in the format of zfs send -R, with what
// zfs receive needs (lib/libzfs/libzfs_sendrecv.c, zfs_receive_package and
// zfs_receive_one). It omits entries that make a receiver change other datasets, such as
// "fromsnap".
func (h head) pack() (list, last []byte, err error) {
	guids := map[string]uint64{} // of the package's last snapshots, by dataset
	var filesystems nvlist
	for _, d := range h.stream.Datasets {
		guids[d.Name] = d.GUID
		fs, err := packDataset(d, join(h.stream.Top, d.Name), guids)
		if err != nil {
			return nil, nil, fmt.Errorf("dataset %q: %w", d.Name, err)
		}
		filesystems = append(filesystems, nvpair{h.keys[d.Name], fs})
	}
	all := nvlist{{"fss", filesystems}}
	if h.to != "" {
		all = append(nvlist{{"tosnap", h.to}}, all...)
	}
	var b bytes.Buffer
	out := &recordWriter{ctx: context.Background(), w: &b}
	err = out.writeRecord(drrBegin, all.pack(), func(rec body) {
		rec.u64(0, magic)
		rec.u64(8, compound)
		copy(rec[48:303], h.dataset+"@"+h.Snapshot)
	})
	if err == nil {
		err = out.writePackageEnd(out.sum)
	}
	n := max(0, b.Len()-headerSize)
	return b.Bytes()[:n], b.Bytes()[n:], err
}

// packDataset returns the list's entry for a dataset called name in full. guids has the
// snapshot of its parent, which precedes it. Snapshots get no properties.
func packDataset(d Dataset, name string, guids map[string]uint64) (nvlist, error) {
	fs := nvlist{{"name", name}, {"parentfromsnap", uint64(0)}}
	if d.Name != "" {
		fs[1].value = guids[d.Name[:max(0, strings.LastIndexByte(d.Name, '/'))]]
	}
	if d.Origin != 0 {
		fs = append(fs, nvpair{"origin", d.Origin})
	}
	props, snaps, snapProps := nvlist{}, nvlist{}, nvlist{}
	for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
		switch v := d.Properties[name].(type) {
		case uint64, string:
			props = append(props, nvpair{name, v})
		default:
			return nil, fmt.Errorf("property %q is neither a number nor a text", name)
		}
	}
	for _, s := range d.Snapshots {
		snaps = append(snaps, nvpair{s.Name, s.GUID})
		snapProps = append(snapProps, nvpair{s.Name, nvlist{}})
	}
	return append(fs, nvpair{"props", props}, nvpair{"snaps", snaps}, nvpair{"snapprops", snapProps}), nil
}
