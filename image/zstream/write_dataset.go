package zstream

import (
	"golang.org/x/sys/unix"
)

// Numbers of the objects of a dataset: first the objects of the file system itself, then
// its files in order, the root first.
const (
	saMasterNode = masterNode + 1 + iota
	unlinkedSet
	saRegistry
	saLayouts
	firstFile
)

// number returns the object number of a file.
func (t *Files) number(i uint32) uint64 { return firstFile + uint64(t.position[i]) }

// writeDataset writes a substream: objects in order of number, each with its content and
// spill block.
func (p *packageWriter) writeDataset(i int, fs FileSystem) error {
	d := &p.stream.Datasets[i]
	name := join(p.options.Dataset, fs.Name) + "@" + d.Snapshot
	err := p.out.writeBegin(name, uint64(d.Created.Unix()), d.GUID)
	if err == nil {
		err = p.out.writeSystemObjects()
	}
	for _, n := range fs.Files.order {
		d.Files += int64(len(fs.Files.files[n].names))
		if err == nil {
			err = p.writeFile(fs.Files, n)
		}
	}
	if err == nil {
		err = p.out.writeEnd()
	}
	return err
}

// writeSystemObjects writes the objects of a new, empty file system
// (module/os/freebsd/zfs/zfs_znode_os.c, zfs_create_fs).
func (o *recordWriter) writeSystemObjects() error {
	for _, z := range []struct {
		number  uint64
		t       objectType
		entries []zapEntry
	}{
		{masterNode, typeMaster, []zapEntry{
			{name: "normalization"}, {name: "utf8only"}, {name: "casesensitivity"},
			{name: "VERSION", v: zplSA},
			{name: "SA_ATTRS", v: saMasterNode},
			{name: "DELETE_QUEUE", v: unlinkedSet},
			{name: "ROOT", v: firstFile},
		}},
		{saMasterNode, typeSAMaster, []zapEntry{{name: "REGISTRY", v: saRegistry}, {name: "LAYOUTS", v: saLayouts}}},
		{unlinkedSet, typeUnlinked, nil},
		{saRegistry, typeSARegistry, registryEntries()},
		{saLayouts, typeSALayouts, layoutEntries()},
	} {
		if err := newZAP(z.number, z.entries).write(o, z.number, z.t, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes the object of a file of any type: OBJECT, then WRITE and FREE in order
// of offset, then SPILL.
func (p *packageWriter) writeFile(t *Files, i uint32) error {
	f, number := &t.files[i], t.number(i)
	size := uint64(f.size)
	switch f.kind() {
	case unix.S_IFDIR:
		size = uint64(len(f.names)) + 2 // "." and ".."
	case unix.S_IFLNK:
		size = uint64(len(f.target))
	}
	bonus, spill := encodeAttributes(f, size, t.number(f.parent), uint64(f.links))
	if f.isDir() {
		return newZAP(number, t.entries(f)).write(p.out, number, typeDirectory, bonus, spill)
	}
	block := blockSize(f.size)
	if err := p.out.writeObject(number, typePlainFile, block, bonus, spill != nil); err != nil {
		return err
	}
	if f.size > 0 {
		if err := p.writeContent(t, i, block); err != nil {
			return err
		}
	}
	if spill != nil {
		return p.out.writeSpill(number, spill)
	}
	return nil
}

// blockSize returns the block size of a file: its size in whole sectors if it has one
// block, else recordSize.
func blockSize(size int64) uint32 {
	return uint32(max(sector, min(recordSize, (size+sector-1)/sector*sector)))
}

// entries returns the entries of a directory; each has the type of the file in its value
// (zfs_znode.h, ZFS_DIRENT_MAKE).
func (t *Files) entries(f *file) []zapEntry {
	entries := make([]zapEntry, len(f.names))
	for i, n := range f.names {
		kind := uint64(t.files[n.file].kind() >> 12)
		entries[i] = zapEntry{name: n.name, v: t.number(n.file) | kind<<60}
	}
	return entries
}

// writeContent writes the data blocks of a file, padded to whole blocks, and a FREE for
// each hole. size is the block size, in bytes.
func (p *packageWriter) writeContent(t *Files, i uint32, size uint32) error {
	number, next := t.number(i), int64(0)
	hole := func(until uint64) error {
		return p.out.writeFree(number, uint64(next), until)
	}
	err := t.eachBlock(p.out.ctx, i, func(offset int64, block []byte) error {
		n := len(block)
		if n < int(size) {
			clear(p.lastBlock[copy(p.lastBlock[:], block):])
			block = p.lastBlock[:size]
		}
		if offset > next {
			if err := hole(uint64(offset - next)); err != nil {
				return err
			}
		}
		next = offset + int64(size)
		p.progress(n)
		return p.out.writeBlock(number, typePlainFile, offset, block)
	})
	if err == nil && next < t.files[i].size {
		err = hole(toEnd)
	}
	return err
}
