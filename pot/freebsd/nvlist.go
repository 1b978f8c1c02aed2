package freebsd

import (
	"encoding/binary"
	"fmt"
)

// nvpair is a named value of an nv(9) list: a bool, a uint64, a string, []byte,
// []uint64, or an nvlist.
type nvpair struct {
	name  string
	value any
}

// nvlist is a list of nv(9), as some ioctl(2) requests take it.
type nvlist []nvpair

// Types of values (sys/nv.h), and the end of a list within another
// (contrib/libnv/nv_impl.h).
const (
	nvBool        = 2
	nvNumber      = 3
	nvString      = 4
	nvNVList      = 5
	nvBinary      = 7
	nvNumberArray = 9
	nvListUp      = 255
)

// Sizes of packed headers, of a list and of a pair (contrib/libnv: struct
// nvlist_header, struct nvpair_header).
const (
	nvListHeader = 1 + 1 + 1 + 8 + 8
	nvPairHeader = 1 + 2 + 8 + 8
)

// pack is nvlist_pack(9), little-endian on any machine: the header says so.
func (l nvlist) pack() []byte { return l.append(nil, l.size()) }

// append appends the packed list to b, which is total bytes when it is whole: each
// list has the bytes behind its header in it.
func (l nvlist) append(b []byte, total int) []byte {
	const magic, version, flags = 0x6c, 0, 0
	behind := total - len(b) - nvListHeader
	b = append(b, magic, version, flags)
	b = binary.LittleEndian.AppendUint64(b, 0) // descriptors
	b = binary.LittleEndian.AppendUint64(b, uint64(behind))
	for _, p := range l {
		kind, size, items := p.describe()
		b = appendPairHeader(b, kind, p.name, size, items)
		switch v := p.value.(type) {
		case bool:
			b = append(b, map[bool]byte{true: 1}[v])
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, v)
		case string:
			b = append(append(b, v...), 0)
		case []byte:
			b = append(b, v...)
		case []uint64:
			for _, n := range v {
				b = binary.LittleEndian.AppendUint64(b, n)
			}
		case nvlist:
			b = appendPairHeader(v.append(b, total), nvListUp, "", 0, 0)
		}
	}
	return b
}

func appendPairHeader(b []byte, kind byte, name string, size, items int) []byte {
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(name)+1))
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = binary.LittleEndian.AppendUint64(b, uint64(items))
	return append(append(b, name...), 0)
}

// describe returns the type of a value, the bytes that it takes, and, for an array,
// the number of its items.
func (p nvpair) describe() (kind byte, size, items int) {
	switch v := p.value.(type) {
	case bool:
		return nvBool, 1, 0
	case uint64:
		return nvNumber, 8, 0
	case string:
		return nvString, len(v) + 1, 0
	case []byte:
		return nvBinary, len(v), 0
	case []uint64:
		return nvNumberArray, 8 * len(v), len(v)
	case nvlist:
		return nvNVList, v.size(), 0
	}
	panic(fmt.Sprintf("internal error: no type of nv(9): %T", p.value))
}

// size is nvlist_size(9): of the packed list, without the end of one within another.
func (l nvlist) size() int {
	all := nvListHeader
	for _, p := range l {
		kind, size, _ := p.describe()
		all += nvPairHeader + len(p.name) + 1 + size
		if kind == nvNVList {
			all += nvPairHeader + 1
		}
	}
	return all
}
