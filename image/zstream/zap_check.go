package zstream

import (
	"errors"
	"fmt"
	"math/bits"
)

// checkHeader verifies the fields that a kernel uses to find leaves of a fat ZAP and to
// add some (module/zfs/zap.c, zap_table_load, zap_grow_ptrtbl, zap_allocate_blocks).
// Offsets in struct zap_phys: of the table zt_blk 16, zt_numblks 24, zt_shift 32,
// zt_nextblk 40, zt_blks_copied 48; zap_freeblk 56.
func (z zap) checkHeader(header []byte) error {
	u64 := func(at int) uint64 { return z.order.u64(header[at:]) }
	blocks, shift, next, copied, free := u64(24), u64(32), u64(40), u64(48), u64(56)
	perBlock := uint64(bits.Len64(uint64(z.block))) - 1 - 3 // of pointers, as a shift
	switch have := uint64((z.size + z.block - 1) / z.block); {
	case blocks == 0 && shift != perBlock-1: // ZAP_EMBEDDED_PTRTBL_SHIFT
		return fmt.Errorf("ZAP: a table of 2^%d pointers in a header of %d bytes", shift, z.block)
	case blocks != 0 && (shift < perBlock || blocks != 1<<(shift-perBlock)):
		return fmt.Errorf("ZAP: a table of 2^%d pointers in %d blocks", shift, blocks)
	case free < have || free > uint64(zapMaxSize/z.block):
		return fmt.Errorf("ZAP: it has %d blocks, and its next free block is %d", have, free)
	case next == 0 && copied != 0, next != 0 && (blocks == 0 || copied >= blocks):
		return fmt.Errorf("ZAP: a table of %d blocks, of which %d are copied", blocks, copied)
	case next != 0 && (next < u64(16)+blocks || next > free || free-next < 2*blocks):
		return fmt.Errorf("ZAP: its next table, at block %d, is not its own", next)
	}
	return nil
}

// checkPointers verifies that n pointers at an offset all lead to block to, and that
// this block is not reserved for the next table.
func (z zap) checkPointers(header []byte, at int64, n, to uint64) error {
	next, blocks := z.order.u64(header[40:]), z.order.u64(header[24:])
	if next != 0 && to >= next && to < next+2*blocks {
		return fmt.Errorf("ZAP: a leaf at block %d, which belongs to its next table", to)
	}
	part := make([]byte, min(n*8, 64<<10))
	for n > 0 {
		part = part[:min(n*8, uint64(len(part)))]
		if _, err := z.data.ReadAt(part, at); err != nil {
			return fmt.Errorf("ZAP: its table of pointers: %w", unexpectedEOF(err))
		}
		for p := part; len(p) > 0; p = p[8:] {
			if z.order.u64(p) != to {
				return fmt.Errorf("ZAP: pointers to blocks %d and %d where all must lead to one leaf", to, z.order.u64(p))
			}
		}
		n, at = n-uint64(len(part)/8), at+int64(len(part))
	}
	return nil
}

// checkCounts compares zap_num_leafs (at 64) and zap_num_entries (at 72) with the number
// of leaves and entries: a kernel sizes arrays by them (sa.c, sa_attr_table_setup).
func (z zap) checkCounts(header []byte, leaves, entries uint64) error {
	if said := z.order.u64(header[64:]); said != leaves {
		return fmt.Errorf("ZAP: it is said to have %d leaves, and has %d", said, leaves)
	}
	if said := z.order.u64(header[72:]); said != entries {
		return fmt.Errorf("ZAP: it is said to have %d entries, and has %d", said, entries)
	}
	return nil
}

// mzapIndex finds entries of a microzap that a kernel cannot distinguish. On open it
// sorts them by hash and cd and panics at two equal ones, or at two with the same lower
// 16 bits of cd (module/zfs/zap_micro.c, mze_insert; btree.c, zfs_btree_add). A name
// that it cannot normalise gets the hash of the entry before. Offsets: in struct
// mzap_phys mz_salt 8, mz_normflags 16; in mzap_ent_phys mze_cd 8.
type mzapIndex struct {
	salt, norm uint64
	keys       map[uint64]bool
}

// newMzapIndex returns an empty index for the microzap in block.
func newMzapIndex(block []byte, o byteOrder) (mzapIndex, error) {
	m := mzapIndex{o.u64(block[8:]), o.u64(block[16:]), map[uint64]bool{}}
	return m, checkNormalization(m.norm)
}

// add adds an entry, and returns an error if a kernel could not distinguish it from
// an earlier one.
func (m mzapIndex) add(name []byte, cd uint32) error {
	hashed, err := normalize(string(name), m.norm)
	if err != nil {
		return fmt.Errorf("ZAP: %q cannot be normalized: %w", name, err)
	}
	if cd > 0xffff {
		return fmt.Errorf("ZAP: %q is number %d of its hash", name, cd)
	}
	key := zapWriter{salt: m.salt}.hash(hashed) | uint64(cd) // the low bits of a hash are zero
	if m.keys[key] {
		return errors.New("ZAP: two names of one hash and one number")
	}
	m.keys[key] = true
	return nil
}
