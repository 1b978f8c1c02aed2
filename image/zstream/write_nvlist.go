package zstream

import "encoding/binary"

// pack encodes the list as nvlist_pack(3) with NV_ENCODE_XDR. Values must be string,
// uint64, []byte or nvlist.
func (l nvlist) pack() []byte {
	const xdrLittleEndian = "\x01\x01\x00\x00" // nvs_header_t: NV_ENCODE_XDR, the host's order
	return l.append([]byte(xdrLittleEndian))
}

// append encodes version, flags, the pairs, and a pair of size 0.
func (l nvlist) append(out []byte) []byte {
	be := binary.BigEndian
	out = be.AppendUint32(out, 0) // NV_VERSION
	out = be.AppendUint32(out, uniqueName)
	for _, p := range l {
		out = p.append(out)
	}
	return append(out, make([]byte, 8)...)
}

// append encodes a pair: its size here and in memory, name, type, number of elements and
// value.
func (p nvpair) append(out []byte) []byte {
	be := binary.BigEndian
	start := len(out)
	out = be.AppendUint32(out, 0)
	out = be.AppendUint32(out, 0)
	out = appendOpaque(be.AppendUint32(out, uint32(len(p.name))), p.name)
	count, memory := uint32(1), 0
	var value []byte
	var dataType uint32
	switch v := p.value.(type) {
	case string:
		dataType, memory = nvString, len(v)+1
		value = appendOpaque(be.AppendUint32(nil, uint32(len(v))), v)
	case uint64:
		dataType, memory = nvUint64, 8
		value = be.AppendUint64(nil, v)
	case []byte:
		dataType, count, memory = nvByteArray, uint32(len(v)), len(v)
		value = appendOpaque(nil, string(v))
	case nvlist:
		dataType, memory = nvList, 24 // sizeof (nvlist_t)
		value = v.append(nil)
	default:
		panic("internal error: a list with a value of a type that is never written")
	}
	out = be.AppendUint32(out, dataType)
	out = be.AppendUint32(out, count)
	out = append(out, value...)
	be.PutUint32(out[start:], uint32(len(out)-start))
	be.PutUint32(out[start+4:], uint32(align8(16+len(p.name)+1)+align8(memory))) // NVP_SIZE_CALC
	return out
}

// appendOpaque appends bytes, padded to a multiple of 4.
func appendOpaque(out []byte, s string) []byte {
	return append(append(out, s...), make([]byte, -len(s)&3)...)
}

// align8 rounds n up to a multiple of 8.
func align8(n int) int { return (n + 7) &^ 7 }
