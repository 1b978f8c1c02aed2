package zstream

import "encoding/binary"

// byteOrder is the byte order of a stream: that of the machine which sent it. Its
// records are in it, and so is what their content is made of as far as ZFS knows
// it: ZAPs, attributes, access control lists. What is in XDR, and arrays in the
// leaves of a ZAP, are big-endian everywhere.
type byteOrder struct{ big bool }

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
