package zstream

import (
	"encoding/binary"
	"fmt"
	"strings"
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
	nvInt16Array   = 11
	nvUint16Array  = 12
	nvInt32Array   = 13
	nvUint32Array  = 14
	nvInt64Array   = 15
	nvUint64Array  = 16
	nvStringArray  = 17
	nvHrtime       = 18
	nvList         = 19
	nvListArray    = 20
	nvBooleanValue = 21
	nvInt8         = 22
	nvUint8        = 23
	nvBooleanArray = 24
	nvInt8Array    = 25
	nvUint8Array   = 26
	nvDouble       = 27
)

// xdr decodes RFC 4506: big-endian values in multiples of 4 bytes. After the first error
// it returns zeros.
type xdr struct {
	rest  []byte
	pairs int // remaining pairs before the bound
	err   error
}

// fail keeps the first error and drops the remaining input.
func (x *xdr) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf(format, args...)
	}
	x.rest = nil
}

// take returns the next n bytes and skips their padding to a multiple of 4 (RFC 4506,
// section 3). The bytes are part of the input.
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

// u32 decodes an unsigned integer.
func (x *xdr) u32() uint32 {
	if p := x.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// u64 decodes an unsigned hyper.
func (x *xdr) u64() uint64 { return uint64(x.u32())<<32 | uint64(x.u32()) }

// unsigned and signed decode integers of fewer bits, which XDR stores in 4 bytes. A
// value beyond those bits is an error: a receiver would truncate it.
func (x *xdr) unsigned(bits uint) uint64 {
	v := x.u32()
	if v>>bits != 0 {
		x.fail("list: %d in an integer of %d bits", v, bits)
	}
	return uint64(v)
}

func (x *xdr) signed(bits uint) int64 {
	v := int64(int32(x.u32()))
	if v>>(bits-1) != 0 && v>>(bits-1) != -1 {
		x.fail("list: %d in an integer of %d bits", v, bits)
	}
	return v
}

// list decodes version, flags, and pairs up to a pair of size 0. Each pair begins with
// its encoded size, which includes both sizes, and its size in memory.
func (x *xdr) list(depth int) nvlist {
	if version := x.u32(); version != 0 { // NV_VERSION
		x.fail("list: version %d is not known", version)
	}
	if flags := x.u32(); flags != uniqueName && flags != uniqueNameType { // nvl_nvflag
		x.fail("list: flags %#x: its names need not differ", flags)
	}
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

// text decodes a string. A NUL in it is an error: a receiver would end the string there
// and use another name or value (module/nvpair/nvpair.c, nvs_xdr_nvp_op).
func (x *xdr) text() string {
	s := string(x.take(x.u32()))
	if strings.ContainsRune(s, 0) {
		x.fail("list: a text with NUL in it: %.40q", s)
	}
	return s
}

// pair decodes name, type, number of elements and value. A receiver uses type and
// number, not the encoded size, so a value must match them exactly; otherwise a receiver
// would see other pairs.
func (x *xdr) pair(depth int) nvpair {
	p := nvpair{name: x.text()}
	dataType, count := x.u32(), x.u32()
	p.value = x.value(dataType, count, depth)
	if want, isArray := elements(dataType); x.err == nil && !isArray && count != want {
		x.fail("list: %q has %d values, not %d", p.name, count, want)
	}
	return p
}

// elements returns how many elements a value of the type has, unless it is an array
// (i_validate_type_nelem).
func elements(dataType uint32) (n uint32, isArray bool) {
	switch {
	case dataType == nvBoolean:
		return 0, false
	case dataType >= nvByteArray && dataType <= nvStringArray, dataType == nvListArray,
		dataType >= nvBooleanArray && dataType <= nvUint8Array:
		return 0, true
	}
	return 1, false
}

// value decodes a value of a type; count is the number of elements of an array.
func (x *xdr) value(dataType, count uint32, depth int) any {
	switch dataType {
	case nvBoolean:
		return nil
	case nvByte, nvUint8:
		return x.unsigned(8)
	case nvUint16:
		return x.unsigned(16)
	case nvUint32:
		return x.unsigned(32)
	case nvInt8:
		return x.signed(8)
	case nvInt16:
		return x.signed(16)
	case nvInt32:
		return x.signed(32)
	case nvBooleanValue:
		return x.unsigned(1) != 0
	case nvInt64:
		return int64(x.u64())
	case nvUint64:
		return x.u64()
	case nvString:
		return x.text()
	case nvByteArray:
		return x.take(count)
	case nvList:
		return x.list(depth + 1)
	}
	return x.opaque(dataType, count, depth)
}

// opaque decodes a value of a type that the package does not use, to find its end. It
// returns the lists in an array of lists, for checkUniqueDeep.
func (x *xdr) opaque(dataType, count uint32, depth int) opaque {
	o := opaque{dataType: dataType}
	switch dataType {
	case nvHrtime, nvDouble:
		x.u64()
	case nvBooleanArray, nvInt8Array, nvUint8Array, nvInt16Array, nvUint16Array, nvInt32Array, nvUint32Array:
		x.integers(count, 4)
	case nvInt64Array, nvUint64Array:
		x.integers(count, 8)
	case nvStringArray:
		for range count {
			if x.text(); x.err != nil {
				break
			}
		}
	case nvListArray:
		for range count {
			if o.lists = append(o.lists, x.list(depth+1)); x.err != nil {
				break
			}
		}
	default:
		x.fail("list: a value of type %d, which is not known", dataType)
	}
	return o
}

// integers skips an array of integers of size bytes. Its number of elements is repeated
// before them, unless it is 0.
func (x *xdr) integers(count, size uint32) {
	if count == 0 {
		return
	}
	if again := x.u32(); x.err == nil && again != count {
		x.fail("list: an array of %d elements, and of %d", count, again)
	}
	if uint64(count)*uint64(size) > uint64(len(x.rest)) {
		x.fail("list: %d integers where %d bytes are left", count, len(x.rest))
		return
	}
	x.take(count * size)
}
