package zstream

import "encoding/binary"

// byteOrder is the byte order of the machine that sent a stream. It applies to the
// records and to the structures in their content that ZFS interprets: ZAPs, attributes,
// access control lists. XDR and the arrays in ZAP leaves are always big-endian. The zero
// value is little-endian.
type byteOrder struct{ big bool }

// u16, u32 and u64 decode the first bytes of p, which must have as many.
func (o byteOrder) u16(p []byte) uint16 {
	if o.big {
		return binary.BigEndian.Uint16(p)
	}
	return binary.LittleEndian.Uint16(p)
}

func (o byteOrder) u32(p []byte) uint32 {
	if o.big {
		return binary.BigEndian.Uint32(p)
	}
	return binary.LittleEndian.Uint32(p)
}

func (o byteOrder) u64(p []byte) uint64 {
	if o.big {
		return binary.BigEndian.Uint64(p)
	}
	return binary.LittleEndian.Uint64(p)
}
