package zstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// nvlist is a list of named values as nvlist_pack(3) writes it with NV_ENCODE_XDR
// (OpenZFS module/nvpair/nvpair.c, "XDR encoding functions").
type nvlist []nvpair

// nvpair is one of them. Its value is a uint64 for all unsigned numbers, an int64
// for the signed ones, a bool, a string, []byte, an nvlist, nil where the name
// says all, or opaque.
type nvpair struct {
	name  string
	value any
}

// opaque is a value of a type that nothing here has a use for.
type opaque struct{ dataType uint32 }

// Bounds on a list. One of `zfs send -R` has some 50 pairs for a dataset.
const (
	maxPairs   = 1 << 16
	maxNesting = 8
)

// Types of values, data_type_t (include/sys/nvpair.h).
const (
	nvBoolean      = 1
	nvByte         = 2
	nvInt16        = 3
	nvUint16       = 4
	nvInt32        = 5
	nvUint32       = 6
	nvInt64        = 7
	nvUint64       = 8
	nvString       = 9
	nvByteArray    = 10
	nvList         = 19
	nvBooleanValue = 21
	nvInt8         = 22
	nvUint8        = 23
)

// unpackList reads a packed list, all of buf.
func unpackList(buf []byte) (nvlist, error) {
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

// find is the value of a name, and nil without it.
func (l nvlist) find(name string) any {
	for _, p := range l {
		if p.name == name {
			return p.value
		}
	}
	return nil
}

// has tells whether there is such a name.
func (l nvlist) has(name string) bool {
	for _, p := range l {
		if p.name == name {
			return true
		}
	}
	return false
}

// unique returns an error if two pairs have the same name: which of the two a
// receiver takes depends on its version of libnvpair.
func (l nvlist) unique() error {
	seen := make(map[string]bool, len(l))
	for _, p := range l {
		if seen[p.name] {
			return fmt.Errorf("%q comes twice", p.name)
		}
		seen[p.name] = true
	}
	return nil
}

// xdr takes values off its rest (RFC 4506): all are big-endian, in multiples of
// 4 bytes. After the first error it yields zeros.
type xdr struct {
	rest  []byte
	pairs int // that may still come
	err   error
}

// fail keeps the first error, and ends what there is to take.
func (x *xdr) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf(format, args...)
	}
	x.rest = nil
}

// take is the next n bytes, without the padding that follows them.
func (x *xdr) take(n uint32) []byte {
	padded := (uint64(n) + 3) &^ 3
	if padded > uint64(len(x.rest)) {
		x.fail("list: %d bytes where %d are left", n, len(x.rest))
		return nil
	}
	p := x.rest[:n]
	x.rest = x.rest[padded:]
	return p
}

// u32 is an unsigned integer.
func (x *xdr) u32() uint32 {
	if p := x.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// u64 is an unsigned hyper.
func (x *xdr) u64() uint64 { return uint64(x.u32())<<32 | uint64(x.u32()) }

// list reads version, flags, and pairs up to one of no size. Before each pair
// stand its size here, with both sizes, and its size in memory.
func (x *xdr) list(depth int) nvlist {
	if version := x.u32(); version != 0 { // NV_VERSION
		x.fail("list: version %d is not known", version)
	}
	x.u32() // nvl_nvflag
	if depth > maxNesting {
		x.fail("list: more than %d within each other", maxNesting)
	}
	var list nvlist
	for x.err == nil {
		size, decoded := x.u32(), x.u32()
		if size == 0 && decoded == 0 {
			break
		}
		if x.pairs--; x.pairs < 0 {
			x.fail("list: more than %d pairs", maxPairs)
		}
		if size < 8 || decoded == 0 || uint64(size-8) > uint64(len(x.rest)) {
			x.fail("list: a pair of %d bytes where %d are left", size, len(x.rest))
			break
		}
		// The pair is read from its own bytes alone.
		after := x.rest[size-8:]
		x.rest = x.rest[:size-8]
		pair := x.pair(depth)
		if len(x.rest) > 0 {
			x.fail("list: %q has %d bytes too many", pair.name, len(x.rest))
		}
		x.rest = after
		list = append(list, pair)
	}
	return list
}

// text reads a string. A receiver would cut one with a NUL in it there, and read
// another name or value than is read here (module/nvpair/nvpair.c, nvs_xdr_nvp_op).
func (x *xdr) text() string {
	s := string(x.take(x.u32()))
	if strings.ContainsRune(s, 0) {
		x.fail("list: a text with NUL in it: %.40q", s)
	}
	return s
}

// pair reads name, type, number of elements and value.
func (x *xdr) pair(depth int) nvpair {
	p := nvpair{name: x.text()}
	dataType, count := x.u32(), x.u32()
	switch dataType {
	case nvBoolean:
	case nvByte, nvUint8, nvUint16, nvUint32:
		p.value = uint64(x.u32())
	case nvInt8, nvInt16, nvInt32:
		p.value = int64(int32(x.u32()))
	case nvBooleanValue:
		p.value = x.u32() != 0
	case nvInt64:
		p.value = int64(x.u64())
	case nvUint64:
		p.value = x.u64()
	case nvString:
		p.value = x.text()
	case nvByteArray:
		p.value = x.take(count)
	case nvList:
		p.value = x.list(depth + 1)
	default:
		p.value = opaque{dataType}
		x.rest = nil
	}
	return p
}
