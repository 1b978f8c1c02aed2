package zstream

import (
	"errors"
	"fmt"
	"strings"
)

// packageList is the list behind the BEGIN of a package (`zfs send -R` or `-I`): the
// datasets that follow (OpenZFS lib/libzfs/libzfs_sendrecv.c, send_prelim_records and
// send_iterate_fs).
type packageList struct {
	from, to string                   // names of snapshots
	datasets map[string]listedDataset // by full name
	origins  map[uint64]int           // number of clones of each snapshot, by its GUID
}

// listedDataset is a dataset in the list.
type listedDataset struct {
	key                string // its name in the list: the GUID of the dataset
	origin             uint64 // GUID of the snapshot that it is a clone of
	snapshots          map[string]uint64
	properties         map[string]any
	snapshotProperties map[string]map[string]any // properties of each
}

// parsePackageList decodes the list, which its checksum does not verify yet. It refuses
// lists that two receivers could read in two ways, such as with a name that comes twice.
func parsePackageList(buf []byte) (*packageList, error) {
	list, err := unpackNvlist(buf)
	if err != nil {
		return nil, err
	}
	if err := list.checkUnique(); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	if list.has("raw") {
		return nil, errors.New("raw (encrypted) packages are not supported")
	}
	filesystems, ok := list.find("fss").(nvlist)
	if !ok || len(filesystems) == 0 {
		return nil, errors.New("list: it has no datasets")
	}
	c := &packageList{datasets: map[string]listedDataset{}, origins: map[uint64]int{}}
	if c.from, err = lookupValue[string](list, "fromsnap"); err == nil {
		c.to, err = lookupValue[string](list, "tosnap")
	}
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	guids := map[uint64]bool{}
	for _, p := range filesystems {
		fs, _ := p.value.(nvlist)
		name, ok := fs.find("name").(string)
		if !ok {
			return nil, fmt.Errorf("list: dataset %s has no name", p.name)
		}
		if _, twice := c.datasets[name]; twice {
			return nil, fmt.Errorf("list: dataset %q comes twice", name)
		}
		d, err := parseListedDataset(fs)
		if err != nil {
			return nil, fmt.Errorf("list: dataset %q: %w", name, err)
		}
		d.key = p.name
		for _, guid := range d.snapshots {
			if guids[guid] {
				return nil, fmt.Errorf("list: dataset %q: snapshot GUID %#x comes twice", name, guid)
			}
			guids[guid] = true
		}
		if d.origin != 0 {
			c.origins[d.origin]++
		}
		c.datasets[name] = d
	}
	if err := filesystems.checkUnique(); err != nil {
		return nil, fmt.Errorf("list: dataset %w", err)
	}
	if err := list.checkUniqueDeep(); err != nil { // also in the unused parts
		return nil, fmt.Errorf("list: %w", err)
	}
	return c, nil
}

// parseListedDataset decodes a dataset of the list. A receiver finds a dataset by the
// GUID of its snapshot, not by its name (libzfs_sendrecv.c, fsavl_find).
func parseListedDataset(fs nvlist) (d listedDataset, err error) {
	if err := fs.checkUnique(); err != nil {
		return d, err
	}
	if fs.has("snapholds") {
		return d, errors.New("holds are not supported")
	}
	d = listedDataset{snapshots: map[string]uint64{}, snapshotProperties: map[string]map[string]any{}}
	var props, snapshots, snapProps nvlist
	_, err = lookupValue[uint64](fs, "parentfromsnap")
	if err == nil {
		_, err = lookupValue[bool](fs, "is_encroot")
	}
	if err == nil {
		d.origin, err = lookupValue[uint64](fs, "origin")
	}
	if err == nil {
		props, err = lookupValue[nvlist](fs, "props")
	}
	if err == nil {
		snapshots, err = lookupValue[nvlist](fs, "snaps")
	}
	if err == nil {
		snapProps, err = lookupValue[nvlist](fs, "snapprops")
	}
	if err != nil {
		return d, err
	}
	if d.properties, err = parseProperties(props); err != nil {
		return d, err
	}
	if err := snapshots.checkUnique(); err != nil {
		return d, fmt.Errorf("snapshot %w", err)
	}
	for _, s := range snapshots {
		guid, ok := s.value.(uint64)
		if !ok || guid == 0 {
			return d, fmt.Errorf("snapshot %q has no GUID", s.name)
		}
		if s.name == "" || strings.ContainsAny(s.name, "@/") {
			return d, fmt.Errorf("no name of a snapshot: %q", s.name)
		}
		d.snapshots[s.name] = guid
	}
	if err := snapProps.checkUnique(); err != nil {
		return d, fmt.Errorf("properties of snapshot %w", err)
	}
	for _, s := range snapProps {
		props, ok := s.value.(nvlist)
		if !ok {
			return d, fmt.Errorf("properties of snapshot %q have the wrong type", s.name)
		}
		if d.snapshotProperties[s.name], err = parseProperties(props); err != nil {
			return d, fmt.Errorf("snapshot %q: %w", s.name, err)
		}
	}
	return d, nil
}

// parseProperties decodes properties, numbers and strings; nil is a property with a
// source and without a value.
func parseProperties(l nvlist) (map[string]any, error) {
	if err := l.checkUnique(); err != nil {
		return nil, fmt.Errorf("property %w", err)
	}
	m := map[string]any{}
	for _, p := range l {
		value := p.value
		if v, ok := value.(nvlist); ok { // with a source beside it
			if err := v.checkUnique(); err != nil {
				return nil, fmt.Errorf("property %q: %w", p.name, err)
			}
			if value = v.find("value"); value == nil && !v.has("value") {
				m[p.name] = nil
				continue
			}
		}
		switch value.(type) {
		case uint64, string:
			m[p.name] = value
		default:
			return nil, fmt.Errorf("property %q is neither a number nor a text", p.name)
		}
	}
	return m, nil
}

// checkListed returns an error unless the list has the substream, and adds the list's
// data to b.
func (c *packageList) checkListed(b *beginRecord) error {
	name := b.dataset + "@" + b.Snapshot
	d, ok := c.datasets[b.dataset]
	guid, sent := d.snapshots[b.Snapshot]
	if !ok || !sent {
		return fmt.Errorf("%q is not in the list of the package", name)
	}
	if guid != b.GUID {
		return fmt.Errorf("%q has GUID %#x in the list of the package, %#x here", name, guid, b.GUID)
	}
	b.Origin, b.Properties = d.origin, d.properties
	b.Snapshots[0].Properties = d.snapshotProperties[b.Snapshot]
	return nil
}

// checkComplete returns an error unless every dataset with the package's snapshot has
// arrived. Other datasets of the list need not arrive: it lists all that existed.
func (c *packageList) checkComplete(got []Dataset) error {
	want, have := 0, 0
	for _, d := range c.datasets {
		if _, ok := d.snapshots[c.to]; ok || c.to == "" {
			want++
		}
	}
	for _, d := range got {
		if d.Snapshot == c.to || c.to == "" {
			have++
		}
	}
	if want != have {
		return fmt.Errorf("the package has %d datasets of the %d in its list", have, want)
	}
	return nil
}
