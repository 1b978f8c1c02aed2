package zstream

import "encoding/binary"

// fletcher4 is the checksum of streams: four running sums over 32-bit words, each a sum
// of the previous one (OpenZFS module/zcommon/zfs_fletcher.c). The zero value is ready
// to use.
type fletcher4 [4]uint64

// Write adds p as 32-bit words of byte order o. The length of p must be a multiple of 4.
// It is unrolled, since every byte of a stream goes through it.
func (f *fletcher4) Write(p []byte, o byteOrder) {
	if o.big {
		f.writeBig(p)
		return
	}
	a, b, c, d := f[0], f[1], f[2], f[3]
	for len(p) >= 16 {
		a += uint64(binary.LittleEndian.Uint32(p))
		b += a
		c += b
		d += c
		a += uint64(binary.LittleEndian.Uint32(p[4:]))
		b += a
		c += b
		d += c
		a += uint64(binary.LittleEndian.Uint32(p[8:]))
		b += a
		c += b
		d += c
		a += uint64(binary.LittleEndian.Uint32(p[12:]))
		b += a
		c += b
		d += c
		p = p[16:]
	}
	for len(p) >= 4 {
		a += uint64(binary.LittleEndian.Uint32(p))
		b += a
		c += b
		d += c
		p = p[4:]
	}
	f[0], f[1], f[2], f[3] = a, b, c, d
}

// writeBig is Write for big-endian words. It is not unrolled, since such streams are
// rare.
func (f *fletcher4) writeBig(p []byte) {
	a, b, c, d := f[0], f[1], f[2], f[3]
	for len(p) >= 4 {
		a += uint64(binary.BigEndian.Uint32(p))
		b += a
		c += b
		d += c
		p = p[4:]
	}
	f[0], f[1], f[2], f[3] = a, b, c, d
}

// readSum decodes a zio_cksum_t of a record.
func readSum(p []byte, o byteOrder) (f fletcher4) {
	for i := range f {
		f[i] = o.u64(p[8*i:])
	}
	return f
}
