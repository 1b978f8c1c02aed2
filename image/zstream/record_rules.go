package zstream

import (
	"errors"
	"fmt"
)

// recordRules checks the order and the limits of a substream's records. Every sender
// keeps this order, and a receiver insists on it: OBJECTs by number, WRITEs and FREEs
// by object and offset (OpenZFS module/zfs/dmu_send.c, dump_free and dmu_dump_write;
// dmu_recv.c, receive_process_write_record). So no byte is written twice, and the work
// is bounded by the size that the stream declares. Blocks above 128 KiB, dnodes above
// 512 bytes and compressed blocks need their feature (recv_check_drr_object and the
// like).
type recordRules struct {
	features   uint64
	spillFlags bool // DRR_FLAG_SPILL_BLOCK: OBJECTs say whether they have a spill block

	lastObject    uint64 // object of the last OBJECT
	nextObject    uint64 // lowest number of the next OBJECT
	writtenObject uint64 // object of the last WRITE
	writtenEnd    uint64 // end of that WRITE
	spilledObject uint64 // object of the last SPILL

	partlyFreed map[uint64]uint64 // by object: offset of its partly freed block, plus 1
}

// Bounds, by their names in OpenZFS. Nothing that it sends is beyond them.
const (
	sector          = 512       // SPA_MINBLOCKSIZE
	oldMaxBlock     = 128 << 10 // SPA_OLD_MAXBLOCKSIZE
	maxObjectNumber = 1 << 48   // DN_MAX_OBJECT
	maxSlots        = 32        // DNODE_MAX_SLOTS
	maxSpill        = oldMaxBlock
	maxBonus        = maxSlots*sector - 192
)

// Flags of records, drr_flags. An OBJECT has objectSpill if it has a spill block;
// a SPILL that a receiver has already has spillUnmodified.
const (
	objectSpill     = 1 << 2
	spillUnmodified = 1 << 2
	beginClone      = 1 << 0 // of a BEGIN: DRR_FLAG_CLONE, it begins a dataset on the snapshot that it is incremental from
	beginSpills     = 1 << 3 // of a BEGIN
)

// checkObject decodes an OBJECT record. Offsets in struct drr_object: object 0, type 8,
// bonustype 12, blksz 16, bonuslen 20, dn_slots 26 (0 in old streams means 1), flags 27,
// raw_bonuslen 28.
func (r *recordRules) checkObject(rec *record) (dnode, error) {
	o := dnode{number: rec.u64(0), typ: objectType(rec.u32(8)), blockSize: rec.u32(16)}
	o.bonusType, o.slots = objectType(rec.u32(12)), max(rec.u8(26), 1)
	size := int(o.slots) * sector
	var err error
	switch {
	case rec.u32(8) > 0xff || o.typ == 0:
		err = fmt.Errorf("type %d is not known", rec.u32(8))
	case rec.u32(12) > 0xff:
		err = fmt.Errorf("attributes of type %d are not known", rec.u32(12))
	case o.number == 0 || o.number+uint64(o.slots) > maxObjectNumber:
		err = errors.New("no object has that number")
	case o.number < r.nextObject:
		err = fmt.Errorf("it comes after object %d", r.lastObject)
	case o.blockSize < sector || o.blockSize%sector != 0 || o.blockSize > maxPayload:
		err = fmt.Errorf("blocks of %d bytes cannot be", o.blockSize)
	case o.blockSize > oldMaxBlock && r.features&(featureLargeBlocks|featureLargeMicroZAP) == 0:
		err = fmt.Errorf("blocks of %d bytes, without feature LARGE_BLOCKS", o.blockSize)
	case o.slots > maxSlots || o.slots > 1 && r.features&featureLargeDnode == 0:
		err = fmt.Errorf("a dnode of %d bytes, without feature LARGE_DNODE", size)
	case len(rec.payload) > size-192: // DN_SLOTS_TO_BONUSLEN (dnode.h)
		err = fmt.Errorf("%d bytes of attributes in a dnode of %d", len(rec.payload), size)
	case rec.u32(28) != 0: // drr_raw_bonuslen
		err = errors.New("raw (encrypted) objects are not supported")
	case rec.u8(27)&^objectSpill != 0 || rec.u8(27) != 0 && !r.spillFlags:
		err = fmt.Errorf("flags %#x are not known", rec.u8(27))
	case o.typ.isFile() && o.bonusType != typeSA && o.bonusType != typeZnode:
		err = fmt.Errorf("attributes of type %d are not of files", o.bonusType)
	default:
		err = o.checkTypes(rec)
	}
	if err != nil {
		return o, objectError(o.number, err)
	}
	r.lastObject, r.nextObject = o.number, o.number+uint64(o.slots)
	if o.bonusType == typeSA || o.bonusType == typeZnode {
		o.bonusLen = uint16(rec.u32(20)) // within maxBonus
	}
	return o, nil
}

// isFile reports whether objects of type t have the attributes of files.
func (t objectType) isFile() bool { return t == typePlainFile || t == typeDirectory }

// checkWrite checks the order, size and features of a block, which is written to o.
// Embedded blocks do not name the type of their object.
func (r *recordRules) checkWrite(b block, o *dnode, embedded bool) error {
	var err error
	switch {
	case !embedded && b.objectType != uint32(o.typ):
		err = fmt.Errorf("it is %v, and content of type %d is written to it", o.typ, b.objectType)
	case b.object < r.writtenObject:
		err = fmt.Errorf("it is written to after object %d", r.writtenObject)
	case b.object == r.writtenObject && b.offset < r.writtenEnd:
		err = fmt.Errorf("offset %d is written to after what is before %d", b.offset, r.writtenEnd)
	case b.length == 0 || b.length%sector != 0 || b.offset%sector != 0 || b.offset >= 1<<62 || b.length > maxPayload:
		err = fmt.Errorf("invalid block: %d bytes at offset %d", b.length, b.offset)
	case b.length > oldMaxBlock && r.features&(featureLargeBlocks|featureLargeMicroZAP) == 0:
		err = fmt.Errorf("a block of %d bytes, without feature LARGE_BLOCKS", b.length)
	case !embedded && b.compression != compressNone && r.features&featureCompressed == 0:
		err = fmt.Errorf("a compressed block (%v), without feature COMPRESSED", b.compression)
	case embedded && r.features&featureEmbedData == 0:
		err = errors.New("an embedded block, without feature EMBED_DATA")
	case b.compression.feature()&^r.features != 0:
		err = fmt.Errorf("a block in %v, without that feature", b.compression)
	case r.partlyFreed[b.object] == b.offset+1 && b.length == uint64(o.blockSize):
		err = fmt.Errorf("the block at offset %d is written after a part of it was freed", b.offset)
	default:
		err = o.checkBlock(b, embedded)
	}
	if err != nil {
		return objectError(b.object, err)
	}
	r.writtenObject, r.writtenEnd = b.object, b.offset+b.length
	return nil
}

// checkSpill checks a SPILL record: attributes that the bonus of o has no room for.
// Offsets in struct drr_spill: object 0, length 8, flags 24, type 76. The kernel uses
// the type as an index without a check (dmu_recv.c, receive_spill). It allocates whole
// sectors and copies the sent size over them (dbuf.c, dbuf_spill_set_blksz).
func (r *recordRules) checkSpill(rec *record, o *dnode) (err error) {
	switch number := rec.u64(0); {
	case number == r.spilledObject:
		err = errors.New("it has a spill block already")
	case len(rec.payload) < sector || len(rec.payload) > maxSpill || len(rec.payload)%sector != 0:
		err = fmt.Errorf("a spill block of %d bytes cannot be", len(rec.payload))
	case rec.u32(76) != 0 && rec.u32(76) != uint32(typeSA):
		err = fmt.Errorf("a spill block of type %d", rec.u32(76))
	case o.bonusType != typeSA:
		err = fmt.Errorf("attributes of type %d have no spill block", o.bonusType)
	case !o.fitsBesideSpill(int(o.bonusLen)):
		err = fmt.Errorf("%d bytes of attributes where a spill block leaves %d", o.bonusLen, o.maxBonusWithSpill())
	case r.spillFlags && rec.u8(24)&spillUnmodified != 0 && o.spillSize == 0:
		err = errors.New("its spill block is said to be as it was, and there was none")
	default:
		r.spilledObject = number
		return nil
	}
	return objectError(rec.u64(0), err)
}

// checkFree decodes a FREE record: a hole. Offsets in struct drr_free: object 0, offset
// 8, length 16; a length of all ones means up to the end. Such a FREE precedes the
// WRITEs of its object; other holes are in order with them. An empty range is returned
// as 0, 0.
func (r *recordRules) checkFree(rec *record) (number, from, to uint64, err error) {
	number, from, to = rec.u64(0), rec.u64(8), rec.u64(8)+rec.u64(16)
	if rec.u64(16) == 1<<64-1 || to < from || to > 1<<62 {
		to = 1 << 62
	}
	switch {
	case from >= to:
		return number, 0, 0, nil
	case number < r.writtenObject:
		err = fmt.Errorf("offset %d is freed after object %d was written", from, r.writtenObject)
	case number == r.writtenObject && from < r.writtenEnd:
		err = fmt.Errorf("offset %d is freed after it was written", from)
	}
	if err != nil {
		return 0, 0, 0, objectError(number, err)
	}
	if to < 1<<62 {
		r.writtenObject, r.writtenEnd = number, to
	}
	return number, from, to, nil
}

// checkFreeObjects decodes a FREEOBJECTS record: a range of numbers without objects.
// Offsets in struct drr_freeobjects: firstobj 0, numobjs 8.
func (r *recordRules) checkFreeObjects(rec *record) (from, to uint64, err error) {
	from, to = max(rec.u64(0), 1), rec.u64(0)+rec.u64(8)
	switch {
	case to < rec.u64(0):
		return 0, 0, objectError(from, fmt.Errorf("%d objects from there cannot be", rec.u64(8)))
	case from >= to:
		return from, from, nil
	case from < r.nextObject:
		return 0, 0, objectError(from, fmt.Errorf("it is freed after object %d was announced", r.lastObject))
	}
	return from, to, nil
}
