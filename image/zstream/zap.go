package zstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// zap reads a ZAP, ZFS's map from names to arrays of integers: a microzap, in one block,
// or a fat ZAP, a table of pointers to leaves. Layouts: OpenZFS include/sys/zap_impl.h
// (mzap_phys_t, zap_phys_t) and zap_leaf.h.
type zap struct {
	data  io.ReaderAt
	size  int64 // of data
	block int64 // drr_blksz
	order byteOrder
}

// Block types and magic numbers.
const (
	zapLeafBlock   = 1<<63 + 0 // ZBT_LEAF
	zapHeaderBlock = 1<<63 + 1 // ZBT_HEADER
	zapMicroBlock  = 1<<63 + 3 // ZBT_MICRO
	zapMagic       = 0x2F52AB2AB
	zapLeafMagic   = 0x2AB1EAF
)

// Bounds. A microzap is at most 128 KiB (MZAP_MAX_BLKSZ), or 1 MiB with the
// feature LARGE_MICROZAP (MZAP_MAX_SIZE); fat ones have blocks of 16 KiB
// (fzap_default_block_shift), and none of more than 128 KiB.
const (
	zapMaxBlock = 1 << 20
	zapMinFat   = 1 << 10
	zapMaxSize  = 1 << 30
	zapMaxShift = 27 // of a table of 1 GiB
)

// zapHash64 is ZAP_FLAG_HASH64 (zap.h). With any other flag the keys are not strings.
const zapHash64 = 1 << 0

// zapAttribute is an entry of a ZAP. The next entry overwrites its slices.
type zapAttribute struct {
	name  []byte
	value []uint64
}

// integer returns the value of an entry that must hold one integer.
func (e zapAttribute) integer() (uint64, error) {
	if len(e.value) != 1 {
		return 0, fmt.Errorf("ZAP: %q has %d values, not 1", e.name, len(e.value))
	}
	return e.value[0], nil
}

// each calls f with every entry, in no particular order, and verifies the ZAP's structure
// as it goes. An error of f ends it and is returned.
func (z zap) each(f func(zapAttribute) error) error {
	if z.block < sector || z.block > zapMaxBlock || z.block%sector != 0 || z.size > zapMaxSize {
		return fmt.Errorf("ZAP: %d bytes in blocks of %d cannot be", z.size, z.block)
	}
	first := make([]byte, z.block)
	if err := z.readBlock(first, 0); err != nil {
		return err
	}
	switch t := z.order.u64(first); t {
	case zapMicroBlock:
		return eachMicro(first, z.order, f)
	case zapHeaderBlock:
		return z.eachFat(first, f)
	default:
		return fmt.Errorf("ZAP: a block of type %#x is not known", t)
	}
}

// readBlock reads block n into b. Bytes that were never written are zero.
func (z zap) readBlock(b []byte, n uint64) error {
	if n >= uint64((z.size+z.block-1)/z.block) {
		return fmt.Errorf("ZAP: block %d is beyond its end", n)
	}
	got, err := z.data.ReadAt(b, int64(n)*z.block)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(b[got:])
	return nil
}

// eachMicro reads a microzap: a header of 64 bytes, then entries of 64 bytes.
func eachMicro(block []byte, o byteOrder, f func(zapAttribute) error) error {
	const size, nameAt = 64, 14 // MZAP_ENT_LEN, offsetof (mzap_ent_phys_t, mze_name)
	value := make([]uint64, 1)
	sorted, clash := newMzapIndex(block, o)
	for at := size; at+size <= len(block); at += size {
		name, _, ended := bytes.Cut(block[at+nameAt:at+size], []byte{0})
		if len(name) == 0 {
			continue // free
		}
		if !ended {
			return fmt.Errorf("ZAP: a name without an end: %q", name)
		}
		if err := sorted.add(name, o.u32(block[at+8:])); clash == nil {
			clash = err // f reports duplicate names first
		}
		value[0] = o.u64(block[at:])
		if err := f(zapAttribute{name, value}); err != nil {
			return err
		}
	}
	return clash
}

// eachFat reads a fat ZAP through its pointer table. The table is indexed by the first
// bits of a hash; a leaf holds all hashes with its prefix, and all pointers for that
// prefix lead to it, so no leaf is read twice.
//
// Offsets in struct zap_phys: magic 8; of the table zt_blk 16, zt_numblks 24, zt_shift
// 32; normflags 88, flags 96.
func (z zap) eachFat(header []byte, f func(zapAttribute) error) error {
	u64 := func(at int) uint64 { return z.order.u64(header[at:]) }
	if m := u64(8); m != zapMagic {
		return fmt.Errorf("ZAP: bad magic number %#x", m)
	}
	if z.block < zapMinFat || z.block > oldMaxBlock || z.block&(z.block-1) != 0 {
		return fmt.Errorf("ZAP: leaves of %d bytes cannot be", z.block)
	}
	if u64(96)&^zapHash64 != 0 { // zap_flags
		return errors.New("ZAP: its keys are no names")
	}
	if err := checkNormalization(u64(88)); err != nil { // zap_normflags
		return err
	}
	start, blocks, shift := u64(16), u64(24), u64(32) // zap_ptrtbl: zt_blk, zt_numblks, zt_shift
	at := int64(0)
	if blocks == 0 { // ZAP_EMBEDDED_PTRTBL_ENT: the second half of the header
		at = z.block / 2
	} else if start <= uint64(zapMaxSize/z.block) {
		at = int64(start) * z.block
	}
	if at == 0 {
		return fmt.Errorf("ZAP: a block at %d, for its table of pointers, is beyond its end", start)
	}
	if shift > zapMaxShift || at+8<<shift > z.size {
		return errors.New("ZAP: its table of pointers is beyond its end")
	}
	if err := z.checkHeader(header); err != nil {
		return err
	}
	leaves, entries := uint64(0), uint64(0)
	leaf, table := newLeaf(int(z.block), z.order), make([]byte, 8)
	for i := uint64(0); i < 1<<shift; {
		if _, err := z.data.ReadAt(table, at+int64(i)*8); err != nil {
			return fmt.Errorf("ZAP: its table of pointers: %w", unexpectedEOF(err))
		}
		if err := z.readBlock(leaf.block, z.order.u64(table)); err != nil {
			return err
		}
		span, err := leaf.pointerCount(i, uint(shift))
		if err != nil {
			return err
		}
		if err := z.checkPointers(header, at+int64(i)*8, span, z.order.u64(table)); err != nil {
			return err
		}
		if err := leaf.each(f); err != nil {
			return err
		}
		i, leaves, entries = i+span, leaves+1, entries+leaf.count
	}
	return z.checkCounts(header, leaves, entries)
}
