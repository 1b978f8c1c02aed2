package zstream

import (
	"errors"
	"fmt"
)

// checkTypes refuses an object that no file system has. The kernel relies on this and
// checks it in debug builds only (ASSERT). Objects of other types are ZFS's own: freeing
// or scrubbing follows the block pointers in blocks of dnodes or object sets, which the
// stream would supply (module/zfs/dmu_traverse.c, traverse_visitbp; dsl_scan.c,
// dsl_scan_recurse). No file has a checksum or compression of its own, drr_checksumtype
// at 24 and drr_compress at 25; the kernel would use it without its feature (dmu.c,
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

// isZPL reports whether file systems have objects of type t.
func (t objectType) isZPL() bool {
	switch t {
	case typePlainFile, typeDirectory, typeMaster, typeUnlinked, typeSAMaster, typeSARegistry, typeSALayouts,
		typeACL, typeOldACL, typeFUIDs, typeQuota:
		return true
	}
	return false
}

// isMetadata reports whether senders leave such blocks uncompressed (dmu.c, dmu_ot;
// dmu_send.c, do_dump): all but the content of files.
func (t objectType) isMetadata() bool { return t != typePlainFile }

// maxBonusWithSpill returns the bonus size that leaves the end of the dnode to the spill
// block pointer (dnode.h, DN_SPILL_BLKPTR); the kernel writes both.
func (o *dnode) maxBonusWithSpill() int { return int(o.slots)*sector - 192 - 128 }

// fitsBesideSpill reports whether a bonus of so many bytes leaves room for a spill block
// pointer.
func (o *dnode) fitsBesideSpill(bonus int) bool { return bonus <= o.maxBonusWithSpill() }

// isPowerOfTwo reports whether the object can have several blocks. If its block size is
// no power of two it has one block, and the kernel panics at an access beyond (dmu.c,
// dmu_buf_hold_array_by_dnode).
func (o *dnode) isPowerOfTwo() bool { return o.blockSize&(o.blockSize-1) == 0 }

// checkBlock checks the size of a block against the block size of its object. A kernel
// writes a block of equal size to the block at the offset, and any other byte by byte
// (dmu_recv.c, flush_write_batch_impl; dbuf.c, dbuf_whichblock). A block may be larger
// in a file whose blocks predate LARGE_BLOCKS, and smaller as the last piece of a large
// block that was split without that feature (dmu_send.c, do_dump).
func (o *dnode) checkBlock(b block, embedded bool) error {
	size := uint64(o.blockSize)
	plain := o.typ == typePlainFile && o.isPowerOfTwo() && !embedded
	switch {
	case b.offset%size != 0:
		return fmt.Errorf("offset %d is not where a block of %d bytes begins", b.offset, size)
	case !o.isPowerOfTwo() && b.offset > 0:
		return fmt.Errorf("offset %d is beyond its one block of %d bytes", b.offset, size)
	case b.length > size && (!plain || b.length%size != 0):
		return fmt.Errorf("a block of %d bytes in an object with blocks of %d", b.length, size)
	case b.length < size && (!plain || size != oldMaxBlock || b.compression != compressNone):
		return fmt.Errorf("a block of %d bytes in an object with blocks of %d", b.length, size)
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

// maxPartlyFreed bounds the objects with a partly freed block. Only files of one block
// beyond 128 KiB have one, in streams without LARGE_BLOCKS.
const maxPartlyFreed = 1 << 16

// notePartialFree records a block of which a FREE covers the beginning or the end. A
// kernel then has a dirty buffer of that block; if a WRITE of the whole block follows,
// it writes twice and frees the old block twice (dbuf.c, dbuf_dirty_lightweight).
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
