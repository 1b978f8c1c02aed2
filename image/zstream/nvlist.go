package zstream

import (
	"errors"
	"fmt"
)

// nvlist is a list of named values in the encoding of nvlist_pack(3) with NV_ENCODE_XDR
// (OpenZFS module/nvpair/nvpair.c, "XDR encoding functions").
type nvlist []nvpair

// nvpair is a name and its value: a uint64 for all unsigned types, an int64 for the
// signed ones, a bool, a string, []byte, an nvlist, nil for DATA_TYPE_BOOLEAN, or
// opaque.
type nvpair struct {
	name  string
	value any
}

// opaque is a value of a type that the package does not use.
type opaque struct {
	dataType uint32
	lists    []nvlist // of an array of lists
}

// Bounds of a list. `zfs send -R` writes about 50 pairs for a dataset.
const (
	maxPairs   = 1 << 16
	maxNesting = 8
)

// Flags of a list: its names differ, or its pairs of name and type (NV_UNIQUE_NAME,
// NV_UNIQUE_NAME_TYPE). A receiver finds no name in a list without either
// (nvlist_lookup_common).
const (
	uniqueName     = 1
	uniqueNameType = 2
)

// unpackNvlist decodes a packed list, which must take all of buf but for padding. Byte
// arrays in the result refer to buf.
func unpackNvlist(buf []byte) (nvlist, error) {
	if len(buf) == 0 {
		return nil, errors.New("list: a package without one")
	}
	if len(buf) < 4 || buf[0] != 1 { // nvs_header_t: NV_ENCODE_XDR
		return nil, errors.New("list: not in XDR")
	}
	x := xdr{rest: buf[4:], pairs: maxPairs}
	list := x.list(0)
	if x.err == nil && len(x.rest) > 7 { // payloads are padded to 8
		x.fail("list: %d bytes follow it", len(x.rest))
	}
	return list, x.err
}

// find returns the value of a name, or nil if there is none or its type is
// DATA_TYPE_BOOLEAN: see has.
func (l nvlist) find(name string) any {
	for _, p := range l {
		if p.name == name {
			return p.value
		}
	}
	return nil
}

// has reports whether the list has the name.
func (l nvlist) has(name string) bool {
	for _, p := range l {
		if p.name == name {
			return true
		}
	}
	return false
}

// checkUnique returns an error if two pairs have the same name: which of them a receiver
// uses depends on its version of libnvpair.
func (l nvlist) checkUnique() error {
	seen := make(map[string]bool, len(l))
	for _, p := range l {
		if seen[p.name] {
			return fmt.Errorf("%q comes twice", p.name)
		}
		seen[p.name] = true
	}
	return nil
}

// checkUniqueDeep is checkUnique for the list and all lists within it.
func (l nvlist) checkUniqueDeep() error {
	if err := l.checkUnique(); err != nil {
		return err
	}
	for _, p := range l {
		var lists []nvlist
		switch v := p.value.(type) {
		case nvlist:
			lists = []nvlist{v}
		case opaque:
			lists = v.lists
		}
		for _, in := range lists {
			if err := in.checkUniqueDeep(); err != nil {
				return fmt.Errorf("%q: %w", p.name, err)
			}
		}
	}
	return nil
}

// lookupValue returns the value of a name, or the zero value if there is none. A
// receiver looks for name and type together, so a value of another type is an error.
func lookupValue[T string | uint64 | bool | nvlist](l nvlist, name string) (value T, err error) {
	if !l.has(name) {
		return value, nil
	}
	value, ok := l.find(name).(T)
	if !ok {
		return value, fmt.Errorf("%q has the wrong type", name)
	}
	return value, nil
}
