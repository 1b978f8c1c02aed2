package zstream

import (
	"context"
	"encoding/binary"
	"io"
)

// recordWriter writes the records of a stream. After the first error all calls return
// it.
type recordWriter struct {
	ctx    context.Context
	w      io.Writer
	header [headerSize]byte
	sum    fletcher4 // over all records since BEGIN
	guid   uint64    // of the current snapshot
	err    error
}

// writeRecord writes a little-endian record with its payload, whose size must be a
// multiple of 4. fill sets the fields of drr_u, which is zero before. The checksum in a
// header, which BEGIN does not have, covers everything since BEGIN, up to itself.
func (o *recordWriter) writeRecord(k recordType, payload []byte, fill func(body)) error {
	if o.err == nil && o.ctx.Err() != nil {
		o.err = context.Cause(o.ctx)
	}
	if o.err != nil {
		return o.err
	}
	clear(o.header[:])
	binary.LittleEndian.PutUint32(o.header[:], uint32(k))
	fill(o.header[bodyOffset:])
	if k == drrBegin {
		o.sum = fletcher4{}
		binary.LittleEndian.PutUint32(o.header[4:], uint32(len(payload))) // drr_payloadlen
		o.sum.Write(o.header[:], byteOrder{})
	} else {
		o.sum.Write(o.header[:sumOffset], byteOrder{})
		o.sum.store(o.header[sumOffset:])
		o.sum.Write(o.header[sumOffset:], byteOrder{})
	}
	o.sum.Write(payload, byteOrder{})
	return o.writeBytes(o.header[:], payload)
}

// writePackageEnd writes one of the ENDs that libzfs writes around the substreams of a
// package, which have no checksum of their own (libzfs_sendrecv.c,
// send_conclusion_record).
func (o *recordWriter) writePackageEnd(sum fletcher4) error {
	if o.err != nil {
		return o.err
	}
	clear(o.header[:])
	binary.LittleEndian.PutUint32(o.header[:], uint32(drrEnd))
	sum.store(o.header[bodyOffset:]) // drr_end.drr_checksum
	return o.writeBytes(o.header[:])
}

// writeEnd writes the END of a substream.
func (o *recordWriter) writeEnd() error {
	sum := o.sum
	return o.writeRecord(drrEnd, nil, func(b body) {
		sum.store(b)
		b.u64(32, o.guid) // drr_toguid
	})
}

// writeBytes writes to w and keeps the first error.
func (o *recordWriter) writeBytes(parts ...[]byte) error {
	for _, p := range parts {
		if _, err := o.w.Write(p); err != nil {
			o.err = err
			return err
		}
	}
	return nil
}

// body is drr_u of a record to write.
type body []byte

func (b body) u32(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
func (b body) u64(at int, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }

// store encodes a checksum as a zio_cksum_t.
func (f fletcher4) store(p []byte) {
	for i, v := range f {
		binary.LittleEndian.PutUint64(p[8*i:], v)
	}
}

// The flags of a BEGIN, DRR_FLAG_* (zfs_ioctl.h): holes have FREE records, and
// objects say whether they have a spill block.
const (
	flagFreeRecords = 1 << 2
	flagSpillBlock  = 1 << 3
)

// drrObjectSpill is DRR_OBJECT_SPILL.
const drrObjectSpill = 1 << 2

// writeBegin writes the BEGIN of a snapshot.
func (o *recordWriter) writeBegin(name string, created uint64, guid uint64) error {
	o.guid = guid
	return o.writeRecord(drrBegin, nil, func(b body) {
		b.u64(0, magic)
		b.u64(8, substream|featureSASpill<<2) // drr_versioninfo
		b.u64(16, created)
		b.u32(24, osZFS)
		b.u32(28, flagFreeRecords|flagSpillBlock)
		b.u64(32, guid)
		copy(b[48:303], name)
	})
}

// writeObject writes an OBJECT with its block size in bytes and its bonus, nil if it has
// none. Offsets are in recordRules.checkObject.
func (o *recordWriter) writeObject(number uint64, t objectType, block uint32, bonus []byte, hasSpill bool) error {
	padded := append(bonus, make([]byte, -len(bonus)&7)...)
	return o.writeRecord(drrObject, padded, func(b body) {
		b.u64(0, number)
		b.u32(8, uint32(t))
		if bonus != nil {
			b.u32(12, uint32(typeSA))
			b.u32(20, uint32(len(bonus)))
		}
		b.u32(16, block)
		b[26] = 1 // drr_dn_slots
		if hasSpill {
			b[27] = drrObjectSpill
		}
		b.u64(32, o.guid)
	})
}

// writeBlock writes a WRITE of one block, of the size in the object's OBJECT.
func (o *recordWriter) writeBlock(number uint64, t objectType, offset int64, block []byte) error {
	const checksumOff = 2 // ZIO_CHECKSUM_OFF (zio.h): the block has no checksum of its own
	return o.writeRecord(drrWrite, block, func(b body) {
		b.u64(0, number)
		b.u32(8, uint32(t))
		b.u64(16, uint64(offset))
		b.u64(24, uint64(len(block)))
		b.u64(32, o.guid)
		b[40] = checksumOff
	})
}

// writeSpill writes a SPILL: the attributes that do not fit the bonus.
func (o *recordWriter) writeSpill(number uint64, block []byte) error {
	return o.writeRecord(drrSpill, block, func(b body) {
		b.u64(0, number)
		b.u64(8, uint64(len(block)))
		b.u64(16, o.guid)
	})
}

// writeFree writes a FREE of a range; length toEnd means up to the end.
func (o *recordWriter) writeFree(number uint64, offset, length uint64) error {
	return o.writeRecord(drrFree, nil, func(b body) {
		b.u64(0, number)
		b.u64(8, offset)
		b.u64(16, length)
		b.u64(24, o.guid)
	})
}

// toEnd is DMU_OBJECT_END.
const toEnd = 1<<64 - 1
