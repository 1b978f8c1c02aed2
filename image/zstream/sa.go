package zstream

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// saTable decodes system attributes: the metadata of a file. Two ZAPs of the dataset
// describe them: a registry of names, numbers and sizes, and layouts, which are lists of
// numbers (OpenZFS include/sys/sa_impl.h).
type saTable struct {
	order   byteOrder
	attrs   map[uint16]saAttr
	layouts map[uint16][]uint16
}

// saAttr is an attribute of the registry.
type saAttr struct {
	name string
	size int // 0 if variable: each header holds it then
}

// saMagic is SA_MAGIC.
const saMagic = 0x2F505A

// Bounds of the tables. A layout number has 10 bits.
const (
	maxAttributes = 1024
	maxLayouts    = 1024
)

// newSATable reads the registry and the layouts. The caller must call check before it
// trusts a layout.
func newSATable(registry, layouts zap) (*saTable, error) {
	t := &saTable{order: registry.order, attrs: map[uint16]saAttr{}, layouts: map[uint16][]uint16{}}
	if err := registry.each(t.addAttr); err != nil {
		return nil, fmt.Errorf("registry of attributes: %w", err)
	}
	if err := layouts.each(t.addLayout); err != nil {
		return nil, fmt.Errorf("layouts of attributes: %w", err)
	}
	return t, nil
}

// addAttr adds an entry of the registry (sa_impl.h, ATTR_ENCODE): in the value are the
// number in bits 0 to 15, how to swap bytes in 16 to 23, and the size in 24 to 39.
func (t *saTable) addAttr(e zapAttribute) error {
	v, err := e.integer()
	if err != nil {
		return err
	}
	n := uint16(v) // ATTR_NUM
	if r, taken := t.attrs[n]; taken {
		return fmt.Errorf("%q has the number of %q", e.name, r.name)
	}
	if len(t.attrs) >= maxAttributes {
		return fmt.Errorf("there are more than %d", maxAttributes)
	}
	r := saAttr{string(e.name), int(v>>24) & 0xffff} // ATTR_LENGTH
	if want, fixed := saAttrSizes[r.name]; fixed && r.size != want {
		return fmt.Errorf("%s has %d bytes, not %d", r.name, r.size, want)
	}
	if at := slices.Index(saLegacyAttrs, r.name); at >= 0 && int(n) != at {
		return fmt.Errorf("%s has number %d, not %d", r.name, n, at)
	}
	if v>>16&0xff > maxByteswap { // ATTR_BSWAP
		return fmt.Errorf("%s is swapped in way %d, which is none", r.name, v>>16&0xff)
	}
	t.attrs[n] = r
	return nil
}

// maxByteswap is SA_ACL, the last of sa_bswap_type_t (include/sys/sa.h).
const maxByteswap = 4

// saLegacyAttrs are the attributes with fixed numbers (module/zfs/sa.c,
// sa_legacy_attrs).
var saLegacyAttrs = []string{
	"ZPL_ATIME", "ZPL_MTIME", "ZPL_CTIME", "ZPL_CRTIME", "ZPL_GEN", "ZPL_MODE", "ZPL_SIZE", "ZPL_PARENT",
	"ZPL_LINKS", "ZPL_XATTR", "ZPL_RDEV", "ZPL_FLAGS", "ZPL_UID", "ZPL_GID", "ZPL_PAD", "ZPL_ZNODE_ACL",
}

// check verifies that attribute numbers are below the number of attributes and that
// layouts use registered numbers only: a kernel indexes a table of that size without a
// check when it mounts (module/zfs/sa.c, sa_attr_table_setup, sa_add_layout_entry).
func (t *saTable) check() error {
	if len(t.attrs) < len(saLegacyAttrs) {
		return fmt.Errorf("registry of attributes: there are %d, fewer than %d", len(t.attrs), len(saLegacyAttrs))
	}
	for n, r := range t.attrs {
		if int(n) >= len(t.attrs) {
			return fmt.Errorf("registry of attributes: %q has number %d of %d", r.name, n, len(t.attrs))
		}
	}
	for number, layout := range t.layouts {
		for _, n := range layout {
			if _, ok := t.attrs[n]; !ok {
				return fmt.Errorf("layouts of attributes: number %d of layout %d is not registered", n, number)
			}
		}
	}
	return nil
}

// addLayout adds an entry of the layouts: its name is the layout's number in decimal, its
// values are numbers of attributes.
func (t *saTable) addLayout(e zapAttribute) error {
	n, err := strconv.ParseUint(string(e.name), 10, 16)
	if err != nil || len(e.value) > maxAttributes {
		return fmt.Errorf("%q with %d attributes is none", e.name, len(e.value))
	}
	if len(t.layouts) >= maxLayouts {
		return fmt.Errorf("there are more than %d", maxLayouts)
	}
	// A kernel adds layouts 0 and 1 itself, and panics at a layout that exists already
	// (module/zfs/sa.c, sa_setup, sa_add_layout_entry).
	if _, taken := t.layouts[uint16(n)]; taken || n < 2 || n > maxLayouts {
		return fmt.Errorf("there can be no layout %q", e.name)
	}
	list := make([]uint16, len(e.value))
	for i, v := range e.value {
		list[i] = uint16(v)
	}
	t.layouts[uint16(n)] = list
	return nil
}

// headerSize returns the size of the header for a layout (SA_HDR_SIZE_MATCH_LAYOUT). A
// kernel finds values by this size, but the owner by the size in the header, so they
// must be equal.
func (t *saTable) headerSize(layout []uint16) int {
	size := 6
	for _, n := range layout {
		if t.attrs[n].size == 0 {
			size += 2
		}
	}
	return (size + 7) &^ 7
}

// each calls f with every attribute in a bonus or spill buffer: an sa_hdr_phys_t, then
// the values in the order of its layout, each aligned to 8 bytes.
func (t *saTable) each(buf []byte, f func(name string, value []byte) error) error {
	o := t.order
	if len(buf) < 8 || o.u32(buf) != saMagic {
		return errors.New("attributes: they have no header")
	}
	info := o.u16(buf[4:])                    // sa_layout_info
	number, at := info&0x3ff, int(info>>10)*8 // SA_HDR_LAYOUT_NUM, SA_HDR_SIZE
	if number == 0 {
		number = 1 // SA_LAYOUT_NUM
	}
	layout, ok := t.layouts[number]
	if !ok {
		return fmt.Errorf("attributes: layout %d is not known", number)
	}
	// The lengths follow the first 6 bytes, up to the end of the header.
	if at < 8 || at > len(buf) {
		return fmt.Errorf("attributes: a header of %d bytes in %d", at, len(buf))
	}
	if want := t.headerSize(layout); at != want {
		return fmt.Errorf("attributes: a header of %d bytes, where layout %d has one of %d", at, number, want)
	}
	lengths := buf[6:at] // sa_lengths
	for _, n := range layout {
		a, ok := t.attrs[n]
		if !ok {
			return fmt.Errorf("attributes: number %d of layout %d is not registered", n, number)
		}
		size := a.size
		if size == 0 {
			if len(lengths) < 2 {
				return fmt.Errorf("attributes: %s has no length", a.name)
			}
			size, lengths = int(o.u16(lengths)), lengths[2:]
		}
		if at+size > len(buf) {
			return fmt.Errorf("attributes: %s is beyond their end", a.name)
		}
		if err := f(a.name, buf[at:at+size]); err != nil {
			return fmt.Errorf("attribute %s: %w", a.name, err)
		}
		at = min((at+size+7)&^7, len(buf))
	}
	return nil
}
