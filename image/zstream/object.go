package zstream

import (
	"errors"
	"fmt"
	"sort"
)

// objectType is dmu_object_type_t (OpenZFS include/sys/dmu.h), which has 8 bits
// in a dnode.
type objectType uint8

// The types that a file system's tree is made of.
const (
	typePlainFile  objectType = 19
	typeDirectory  objectType = 20
	typeMaster     objectType = 21
	typeSA         objectType = 44 // of a bonus alone
	typeSAMaster   objectType = 45
	typeSARegistry objectType = 46
	typeSALayouts  objectType = 47
)

// String names the types that errors are about.
func (t objectType) String() string {
	switch t {
	case typePlainFile:
		return "a file"
	case typeDirectory:
		return "a directory"
	case typeMaster:
		return "a master node"
	case typeSAMaster:
		return "a master node of attributes"
	case typeSARegistry:
		return "a registry of attributes"
	case typeSALayouts:
		return "layouts of attributes"
	}
	return fmt.Sprintf("an object of type %d", uint8(t))
}

// staged tells whether the content of such objects has a use. That of others,
// quotas and names of foreign owners among them, is not kept.
func (t objectType) staged() bool {
	switch t {
	case typePlainFile, typeDirectory, typeMaster, typeSAMaster, typeSARegistry, typeSALayouts:
		return true
	}
	return false
}

// staged is one object of a dataset. There may be millions.
type staged struct {
	number  uint64
	attrs   int64 // where its bonus begins
	spillAt int64
	size    int64  // up to the last byte that was written
	block   uint32 // bytes
	spill   uint32 // bytes of attributes, beside those of the bonus
	names   uint32 // that the tree has for it by now
	bonus   uint16
	typ     objectType
	data    bool // there is a file of its content
}

// objects are those of a dataset in order of their numbers. They are in chunks,
// so that one more never copies all.
type objects struct {
	chunks [][]staged
	count  int64
}

const chunkObjects = 4096

// add appends o, whose number is the highest so far.
func (os *objects) add(o staged) {
	if os.count%chunkObjects == 0 {
		os.chunks = append(os.chunks, make([]staged, 0, chunkObjects))
	}
	last := &os.chunks[len(os.chunks)-1]
	*last = append(*last, o)
	os.count++
}

// last is the number of the last one, 0 without any.
func (os *objects) last() uint64 {
	if os.count == 0 {
		return 0
	}
	chunk := os.chunks[len(os.chunks)-1]
	return chunk[len(chunk)-1].number
}

// find is an object that must be there.
func (os *objects) find(number uint64) (*staged, error) {
	c := sort.Search(len(os.chunks), func(i int) bool { return os.chunks[i][0].number > number })
	if c > 0 {
		chunk := os.chunks[c-1]
		i := sort.Search(len(chunk), func(i int) bool { return chunk[i].number >= number })
		if i < len(chunk) && chunk[i].number == number {
			return &chunk[i], nil
		}
	}
	return nil, objectError(number, errors.New("there is none of that number"))
}

// ofType is an object that must be there and of that type: what the number of a
// directory leads to is no file's content.
func (os *objects) ofType(number uint64, want objectType) (*staged, error) {
	o, err := os.find(number)
	if err == nil && o.typ != want {
		return nil, objectError(number, fmt.Errorf("it is %v, not %v", o.typ, want))
	}
	return o, err
}

// objectError is err of that object.
func objectError(number uint64, err error) error { return fmt.Errorf("object %d: %w", number, err) }

// rules are what the records of a substream must keep to. The order is that of
// any send, and what a receiver insists on: objects by number, WRITEs by object
// and offset (OpenZFS module/zfs/dmu_recv.c, receive_read_prefetch and
// receive_process_write_record). What is larger than 128 KiB, or 512 bytes,
// needs its feature (recv_check_drr_object and the like).
type rules struct {
	features   uint64
	maxObjects int64

	written uint64 // object of the last WRITE
	offset  uint64 // and where that ended
}

// Bounds, by their names in OpenZFS. Nothing that it sends is beyond them.
const (
	sector      = 512       // SPA_MINBLOCKSIZE
	oldMaxBlock = 128 << 10 // SPA_OLD_MAXBLOCKSIZE
	maxNumber   = 1 << 48   // DN_MAX_OBJECT
	maxSlots    = 32        // DNODE_MAX_SLOTS
	maxSpill    = oldMaxBlock
	maxBonus    = maxSlots*sector - 192
)

// object reads an OBJECT record. Of struct drr_object: object at 0, type 8,
// bonustype 12, blksz 16, bonuslen 20, dn_slots 26 (0 in old streams is 1),
// raw_bonuslen 28.
func (r *rules) object(rec *record, known *objects) (staged, error) {
	o := staged{number: rec.u64(0), typ: objectType(rec.u32(8)), block: rec.u32(16)}
	bonusType, slots := rec.u32(12), max(int(rec.body[26]), 1)
	var err error
	switch {
	case rec.u32(8) > 0xff:
		err = fmt.Errorf("type %d is not known", rec.u32(8))
	case o.number == 0 || o.number >= maxNumber:
		err = errors.New("no object has that number")
	case o.number <= known.last():
		err = fmt.Errorf("it comes after object %d", known.last())
	case known.count >= r.maxObjects:
		err = fmt.Errorf("there are more than %d objects", r.maxObjects)
	case o.block < sector || o.block%sector != 0 || o.block > maxPayload:
		err = fmt.Errorf("blocks of %d bytes cannot be", o.block)
	case o.block > oldMaxBlock && r.features&largeBlocks == 0:
		err = fmt.Errorf("blocks of %d bytes, without feature LARGE_BLOCKS", o.block)
	case slots > maxSlots || slots > 1 && r.features&largeDnode == 0:
		err = fmt.Errorf("a dnode of %d bytes, without feature LARGE_DNODE", slots*sector)
	case len(rec.payload) > slots*sector-192: // DN_SLOTS_TO_BONUSLEN (dnode.h)
		err = fmt.Errorf("%d bytes of attributes in a dnode of %d", len(rec.payload), slots*sector)
	case rec.u32(28) != 0: // drr_raw_bonuslen
		err = errors.New("raw (encrypted) objects are not supported yet")
	case bonusType != uint32(typeSA) && (o.typ == typePlainFile || o.typ == typeDirectory):
		err = fmt.Errorf("attributes of type %d (ZPL before version 5) are not supported", bonusType)
	}
	if err != nil {
		return o, objectError(o.number, err)
	}
	if bonusType == uint32(typeSA) {
		o.bonus = uint16(rec.u32(20)) // within maxBonus
	}
	return o, nil
}

// write reads a WRITE record. Of struct drr_write: object at 0, type 8, offset
// 16, logical_size 24, which is that of the payload.
func (r *rules) write(rec *record, known *objects) (*staged, error) {
	o, err := known.find(rec.u64(0))
	if err != nil {
		return nil, err
	}
	offset, size := rec.u64(16), uint64(len(rec.payload))
	switch {
	case rec.u32(8) != uint32(o.typ):
		err = fmt.Errorf("it is %v, and content of type %d is written to it", o.typ, rec.u32(8))
	case o.number < r.written:
		err = fmt.Errorf("it is written to after object %d", r.written)
	case o.number == r.written && offset < r.offset:
		err = fmt.Errorf("offset %d is written to after what is before %d", offset, r.offset)
	case size == 0 || size%sector != 0 || offset%sector != 0 || offset+size > 1<<63-1 || offset+size < offset:
		err = fmt.Errorf("no block is of %d bytes at offset %d", size, offset)
	case size > oldMaxBlock && r.features&largeBlocks == 0:
		err = fmt.Errorf("a block of %d bytes, without feature LARGE_BLOCKS", size)
	}
	if err != nil {
		return nil, objectError(o.number, err)
	}
	r.written, r.offset = o.number, offset+size
	return o, nil
}

// spill reads a SPILL record, of attributes for which the bonus has no room. Of
// struct drr_spill: object at 0, length 8.
func (r *rules) spill(rec *record, known *objects) (*staged, error) {
	o, err := known.find(rec.u64(0))
	switch {
	case err != nil:
		return nil, err
	case o.spill != 0:
		err = errors.New("it has a spill block already")
	case len(rec.payload) < sector || len(rec.payload) > maxSpill:
		err = fmt.Errorf("a spill block of %d bytes cannot be", len(rec.payload))
	}
	if err != nil {
		return nil, objectError(o.number, err)
	}
	return o, nil
}

// free reads a FREE record: a hole, which a full stream names only where nothing
// was written. Of struct drr_free: object at 0, offset 8, length 16.
func (r *rules) free(rec *record, known *objects) error {
	o, err := known.find(rec.u64(0))
	if err == nil && rec.u64(8) < uint64(o.size) && rec.u64(16) != 0 {
		return objectError(o.number, fmt.Errorf("offset %d is freed after it was written", rec.u64(8)))
	}
	return err
}

// freeObjects reads a FREEOBJECTS record: numbers that nothing has, of which a
// full stream names only those to come. Of struct drr_freeobjects: firstobj at
// 0, numobjs 8.
func (r *rules) freeObjects(rec *record, known *objects) error {
	if first, count := rec.u64(0), rec.u64(8); count != 0 && first != 0 && first <= known.last() {
		return objectError(first, fmt.Errorf("it is freed after object %d was announced", known.last()))
	}
	return nil
}
