package zstream

import "encoding/binary"

// fletcher4 is ZFS's checksum of streams: four sums over 32-bit words, each of
// the one before (OpenZFS module/zcommon/zfs_fletcher.c). Its zero value is
// ready.
type fletcher4 [4]uint64

// Write adds p, whose length must be a multiple of 4, as words of that order.
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

// writeBig is Write for the order that few machines have.
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

// readSum is a zio_cksum_t as it stands in a record.
func readSum(p []byte, o byteOrder) (f fletcher4) {
	for i := range f {
		f[i] = o.u64(p[8*i:])
	}
	return f
}
