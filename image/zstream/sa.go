package zstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// System attributes are what a file has beside its content. Which attribute is
// where, is in two ZAPs of the dataset: a registry of names, numbers and sizes,
// and layouts, lists of numbers (OpenZFS include/sys/sa_impl.h).
type attributeTable struct {
	names   map[uint16]string
	lengths map[uint16]int // 0: it varies, and stands in the header
	layouts map[uint16][]uint16
}

// saMagic is SA_MAGIC.
const saMagic = 0x2F505A

// Bounds on the tables.
const (
	maxAttributes = 1024
	maxLayouts    = 1024
)

// newAttributeTable reads the registry and the layouts.
func newAttributeTable(registry, layouts zap) (*attributeTable, error) {
	t := &attributeTable{map[uint16]string{}, map[uint16]int{}, map[uint16][]uint16{}}
	err := registry.each(func(e entry) error {
		if len(e.value) != 1 || len(t.names) >= maxAttributes {
			return fmt.Errorf("attribute %q: no entry of a registry", e.name)
		}
		n := uint16(e.value[0])                     // ATTR_NUM
		t.lengths[n] = int(e.value[0]>>24) & 0xffff // ATTR_LENGTH
		t.names[n] = e.name
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("attribute registry: %w", err)
	}
	err = layouts.each(func(e entry) error {
		n, err := strconv.ParseUint(e.name, 10, 16)
		if err != nil || len(t.layouts) >= maxLayouts || len(e.value) > maxAttributes {
			return fmt.Errorf("layout %q: no entry of layouts", e.name)
		}
		list := make([]uint16, len(e.value))
		for i, v := range e.value {
			list[i] = uint16(v)
		}
		t.layouts[uint16(n)] = list
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("attribute layouts: %w", err)
	}
	return t, nil
}

// each calls f with every attribute in a bonus or spill buffer: an sa_hdr_phys_t
// and the values in the order of its layout, each at a multiple of 8.
func (t *attributeTable) each(buf []byte, f func(name string, value []byte) error) error {
	le := binary.LittleEndian
	if len(buf) < 8 || le.Uint32(buf) != saMagic {
		return errors.New("attributes: no header")
	}
	info := le.Uint16(buf[4:])                // sa_layout_info
	number, at := info&0x3ff, int(info>>10)*8 // SA_HDR_LAYOUT_NUM, SA_HDR_SIZE
	layout, ok := t.layouts[number]
	if !ok {
		return fmt.Errorf("attributes: no such layout: %d", number)
	}
	if at < 8 || at > len(buf) {
		return fmt.Errorf("attributes: a header of %d bytes", at)
	}
	lengths := buf[6:at] // sa_lengths
	for _, a := range layout {
		n := t.lengths[a]
		if n == 0 {
			if len(lengths) < 2 {
				return fmt.Errorf("attributes: %s has no length", t.names[a])
			}
			n, lengths = int(le.Uint16(lengths)), lengths[2:]
		}
		if at+n > len(buf) {
			return fmt.Errorf("attributes: %s is beyond their end", t.names[a])
		}
		if err := f(t.names[a], buf[at:at+n]); err != nil {
			return err
		}
		at = min((at+n+7)&^7, len(buf))
	}
	return nil
}

// node is what the attributes say of a file (ZPL_*, zfs_sa.h).
type node struct {
	mode     uint32 // st_mode, with the type
	size     int64
	links    uint64
	uid, gid uint32
	atime    time.Time
	mtime    time.Time
	rdev     uint64 // major in the upper 32 bits
	flags    uint64 // z_pflags
	symlink  []byte // nil: in the content
	xattrs   bool
}

// set takes one attribute over.
func (n *node) set(name string, value []byte) error {
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(value[8*i:]) }
	want := map[string]int{
		"ZPL_MODE": 8, "ZPL_SIZE": 8, "ZPL_LINKS": 8, "ZPL_UID": 8, "ZPL_GID": 8, "ZPL_ATIME": 16,
		"ZPL_MTIME": 16, "ZPL_RDEV": 8, "ZPL_FLAGS": 8, "ZPL_XATTR": 8,
	}[name]
	if want != 0 && len(value) != want {
		return fmt.Errorf("attribute %s is of %d bytes, not %d", name, len(value), want)
	}
	var err error
	switch name {
	case "ZPL_MODE":
		n.mode = uint32(u64(0)) & 0o177777
	case "ZPL_SIZE":
		if n.size = int64(u64(0)); n.size < 0 {
			err = fmt.Errorf("attribute ZPL_SIZE: %d", n.size)
		}
	case "ZPL_LINKS":
		n.links = u64(0)
	case "ZPL_UID":
		n.uid, err = owner(u64(0))
	case "ZPL_GID":
		n.gid, err = owner(u64(0))
	case "ZPL_ATIME":
		n.atime = time.Unix(int64(u64(0)), int64(u64(1)))
	case "ZPL_MTIME":
		n.mtime = time.Unix(int64(u64(0)), int64(u64(1)))
	case "ZPL_RDEV":
		n.rdev = u64(0)
	case "ZPL_FLAGS":
		n.flags = u64(0)
	case "ZPL_XATTR":
		n.xattrs = n.xattrs || u64(0) != 0
	case "ZPL_DXATTR":
		n.xattrs = n.xattrs || len(value) > 0
	case "ZPL_SYMLINK":
		n.symlink = append([]byte{}, value...)
	}
	return err
}

// owner is a user or group by number; what is above 32 bits stands for one of
// another domain (zfs_fuid.h).
func owner(v uint64) (uint32, error) {
	if v>>32 != 0 {
		return 0, fmt.Errorf("owners of foreign domains (FUID %#x) are not supported", v)
	}
	return uint32(v), nil
}

// Bits of z_pflags (zfs_znode.h).
const (
	aclTrivial = 0x4
	// fileFlags are those that chflags(1) sets, but for archive, which ZFS sets
	// on everything: readonly, hidden, system, immutable, nounlink, appendonly,
	// nodump, opaque, reparse, offline, sparse.
	fileFlags = 0x39f7 << 32
)
