package zstream

import (
	"errors"
	"fmt"
)

// What a kernel relies on in objects, and sees to only where it is built to debug
// (ASSERT): that they are of a file system, and that blocks are as large as the
// object says.

// checkTypes refuses what no file system has. Objects of other types are ZFS's own: the
// blocks of those that hold dnodes or whole sets of objects are followed by
// whatever frees or scrubs them, by pointers that the stream would bring
// (module/zfs/dmu_traverse.c, traverse_visitbp; dsl_scan.c, dsl_scan_recurse). A
// checksum or a compression of their own, drr_checksumtype at 24 and drr_compress
// at 25, has no file; it would be used without its feature (dmu.c,
// dmu_write_policy; zfeature.c, feature_do_action).
func (o *dnode) checkTypes(rec *record) error {
	switch size := rec.u32(20); { // drr_bonuslen
	case !o.typ.isZPL():
		return fmt.Errorf("objects of type %d are not of file systems", o.typ)
	case !o.typ.isFile() && o.bonusType != 0 && o.bonusType != typeSysACL && o.bonusType != typeFUIDSize:
		return fmt.Errorf("attributes of type %d, where it is %v", o.bonusType, o.typ)
	case o.bonusType == 0 && size != 0:
		return fmt.Errorf("%d bytes of attributes of no type", size)
	case o.bonusType == typeFUIDSize && size != 8:
		return fmt.Errorf("%d bytes of attributes of type %d", size, o.bonusType)
	case rec.u8(24) != 0:
		return fmt.Errorf("a checksum of its own: %d", rec.u8(24))
	case rec.u8(25) != 0:
		return fmt.Errorf("a compression of its own: %d", rec.u8(25))
	}
	return nil
}

// isZPL tells whether file systems have objects of the type.
func (t objectType) isZPL() bool {
	switch t {
	case typePlainFile, typeDirectory, typeMaster, typeUnlinked, typeSAMaster, typeSARegistry, typeSALayouts,
		typeACL, typeOldACL, typeFUIDs, typeQuota:
		return true
	}
	return false
}

// isMetadata tells whether senders leave such blocks uncompressed (dmu.c, dmu_ot;
// dmu_send.c, do_dump): all but the content of files.
func (t objectType) isMetadata() bool { return t != typePlainFile }

// maxBonusWithSpill is how many bytes of attributes leave the end of the dnode to the pointer
// to a spill block (dnode.h, DN_SPILL_BLKPTR); the kernel writes both.
func (o *dnode) maxBonusWithSpill() int { return int(o.slots)*sector - 192 - 128 }

func (o *dnode) fitsBesideSpill(bonus int) bool { return bonus <= o.maxBonusWithSpill() }

// isPowerOfTwo tells whether the object can have more blocks than one: those of a size
// that is no power of two have one, and the kernel panics at what is beyond it
// (dmu.c, dmu_buf_hold_array_by_dnode).
func (o *dnode) isPowerOfTwo() bool { return o.blockSize&(o.blockSize-1) == 0 }

// checkBlock checks a block against those of its object. A kernel writes what is as
// large as they are to the block that the offset is in, and anything else byte by
// byte (dmu_recv.c, flush_write_batch_impl; dbuf.c, dbuf_whichblock). Larger are
// those of a file that it has in blocks of before LARGE_BLOCKS; smaller is the end
// of a larger one that was cut in pieces for want of it (dmu_send.c, do_dump).
func (o *dnode) checkBlock(b block, embedded bool) error {
	size := uint64(o.blockSize)
	plain := o.typ == typePlainFile && o.isPowerOfTwo() && !embedded
	switch {
	case b.offset%size != 0:
		return fmt.Errorf("offset %d is not where a block of %d bytes begins", b.offset, size)
	case !o.isPowerOfTwo() && b.offset > 0:
		return fmt.Errorf("offset %d is beyond its one block of %d bytes", b.offset, size)
	case b.length > size && (!plain || b.length%size != 0):
		return fmt.Errorf("a block of %d bytes, where all are of %d", b.length, size)
	case b.length < size && (!plain || size != oldMaxBlock || b.compression != compressNone):
		return fmt.Errorf("a block of %d bytes, where all are of %d", b.length, size)
	case embedded && (b.logicalSize != b.length || len(b.data) == 0):
		return fmt.Errorf("%d bytes embedded in %d, for %d", b.logicalSize, len(b.data), b.length)
	case embedded || b.compression == compressNone:
		return nil
	case b.compression == compressOff:
		return errors.New("a compressed block whose compression is off")
	case o.typ.isMetadata():
		return fmt.Errorf("a compressed block, where it is %v", o.typ)
	case len(b.data) == 0 || len(b.data)%sector != 0 || uint64(len(b.data)) > b.length:
		return fmt.Errorf("a block of %d bytes that is compressed to %d", b.length, len(b.data))
	}
	return nil
}

// maxPartlyFreed bounds the objects with a block of which a part is freed. Only files of
// one block beyond 128 KiB have one, in streams without LARGE_BLOCKS.
const maxPartlyFreed = 1 << 16

// notePartialFree notes a block of which a part is freed, up to the end or from its beginning.
// A kernel has that block in memory by then, and writes it; if it is written as a
// whole too, it does so twice, and frees twice what was there (dbuf.c,
// dbuf_dirty_lightweight).
func (r *recordRules) notePartialFree(o *dnode, from, to uint64) error {
	size := uint64(o.blockSize)
	end := (uint64(o.size) + size - 1) / size * size
	for _, edge := range []uint64{from, to} {
		if from >= to || edge%size == 0 || edge >= end {
			continue
		}
		block := edge / size * size
		if was, ok := r.partlyFreed[o.number]; ok && was != block+1 {
			return objectError(o.number, fmt.Errorf("parts of the blocks at offsets %d and %d are freed", was-1, block))
		}
		if len(r.partlyFreed) >= maxPartlyFreed {
			return objectError(o.number, fmt.Errorf("parts of blocks are freed of more than %d objects", maxPartlyFreed))
		}
		r.partlyFreed[o.number] = block + 1
	}
	return nil
}
