package zstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"slices"
)

// zapEntry is an entry to write: a name, and a number or a list of 2-byte numbers.
type zapEntry struct {
	name string
	v    uint64
	list []uint16
}

// zapWriter writes a ZAP of entries with distinct names. ZFS modifies the ZAP later, so
// hashes, chains and free lists must be its own.
type zapWriter struct {
	entries []zapEntry
	salt    uint64
}

// newZAP returns the ZAP of an object. Any salt but 0 works; ZFS picks one at random,
// and this one is derived from the object number to make streams reproducible.
func newZAP(object uint64, entries []zapEntry) zapWriter {
	x := object * 0x9e3779b97f4a7c15
	x = (x ^ x>>31) * 0x94d049bb133111eb
	return zapWriter{entries, x ^ x>>29 | 1}
}

// Sizes of a microzap (zap_impl.h).
const (
	microEntry   = 64 // MZAP_ENT_LEN
	microName    = 50 // MZAP_NAME_LEN, with the NUL
	microEntries = oldMaxBlock/microEntry - 1
)

// write writes the ZAP's object, with a bonus and a spill block if they are not nil.
func (z zapWriter) write(o *recordWriter, number uint64, t objectType, bonus []byte, spill []byte) error {
	if z.isMicro() {
		block := z.microBlock()
		if err := o.writeObject(number, t, uint32(len(block)), bonus, spill != nil); err != nil {
			return err
		}
		if err := o.writeBlock(number, t, 0, block); err != nil {
			return err
		}
	} else {
		if err := o.writeObject(number, t, fatBlock, bonus, spill != nil); err != nil {
			return err
		}
		offset := int64(0)
		err := z.eachFatBlock(func(block []byte) error {
			err := o.writeBlock(number, t, offset, block)
			offset += fatBlock
			return err
		})
		if err != nil {
			return err
		}
	}
	if spill != nil {
		return o.writeSpill(number, spill)
	}
	return nil
}

// isMicro reports whether ZFS stores these entries as a microzap: in one block, with short
// names and one number each.
func (z zapWriter) isMicro() bool {
	return len(z.entries) <= microEntries && !slices.ContainsFunc(z.entries, func(e zapEntry) bool {
		return len(e.name) >= microName || e.list != nil
	})
}

// microBlock returns the block of a microzap, in whole sectors.
func (z zapWriter) microBlock() []byte {
	le := binary.LittleEndian
	size := (len(z.entries) + 1) * microEntry
	block := make([]byte, (size+sector-1)/sector*sector)
	le.PutUint64(block, zapMicroBlock)
	le.PutUint64(block[8:], z.salt)
	same := map[uint64]uint32{}
	for i, e := range z.entries {
		at := block[(i+1)*microEntry:]
		h := z.hash(e.name)
		le.PutUint64(at, e.v)
		le.PutUint32(at[8:], same[h]) // mze_cd
		copy(at[14:], e.name)
		same[h]++
	}
	return block
}

// crcTable is zfs_crc64_table.
var crcTable = crc64.MakeTable(crc64.ECMA)

// zapHashBits is how many bits of a hash are used: the first 28 (zap_micro.c,
// ZAP_HASHBITS, without ZAP_FLAG_HASH64).
const zapHashBits = 28

// hash is zap_hash. A number, cd, distinguishes names with the same hash.
func (z zapWriter) hash(name string) uint64 {
	h := z.salt
	for i := range len(name) {
		h = h>>8 ^ crcTable[byte(h)^name[i]]
	}
	return h &^ (1<<(64-zapHashBits) - 1)
}

// Sizes of a fat ZAP: blocks of 16 KiB (fzap_default_block_shift), whose first
// has a table of 2^10 pointers in its second half (ZAP_EMBEDDED_PTRTBL_SHIFT).
const (
	fatBlock      = 16 << 10
	embeddedShift = 10
	tableShift    = 11                                    // of a block of pointers
	leafHashes    = fatBlock / 32                         // ZAP_LEAF_HASH_NUMENTRIES
	leafHashShift = 9                                     // ZAP_LEAF_HASH_SHIFT
	leafChunks    = (fatBlock-2*leafHashes)/chunkSize - 2 // ZAP_LEAF_NUMCHUNKS
)

// hashedEntry is an entry with its hash.
type hashedEntry struct {
	hash  uint64
	entry *zapEntry
}

// fatLeaf is a leaf to write: all entries whose hashes begin with prefix, of length
// bits.
type fatLeaf struct {
	prefix  uint64
	length  uint
	entries []hashedEntry
}

// eachFatBlock calls f with each block of a fat ZAP: the header, the leaves, and the
// pointer table if it does not fit the header.
func (z zapWriter) eachFatBlock(f func(block []byte) error) error {
	all := make([]hashedEntry, len(z.entries))
	for i := range z.entries {
		e := &z.entries[i]
		if n := e.chunks(); n > leafChunks {
			return fmt.Errorf("ZAP: the entry %.40q takes %d chunks of a leaf's %d", e.name, n, leafChunks)
		}
		all[i] = hashedEntry{z.hash(e.name), e}
	}
	slices.SortStableFunc(all, func(a, b hashedEntry) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return 0
	})
	leaves, err := splitLeaf(nil, fatLeaf{entries: all})
	if err != nil {
		return err
	}
	shift := uint(embeddedShift)
	for _, l := range leaves {
		shift = max(shift, l.length)
	}
	if err := f(z.fatHeader(leaves, shift)); err != nil {
		return err
	}
	for _, l := range leaves {
		if err := f(l.block()); err != nil {
			return err
		}
	}
	if shift == embeddedShift {
		return nil
	}
	return eachPointerBlock(leaves, shift, f)
}

// splitLeaf appends to out the leaves that the entries of l need, in order of prefix and
// so of the pointers to them.
func splitLeaf(out []fatLeaf, l fatLeaf) ([]fatLeaf, error) {
	chunks := 0
	for _, h := range l.entries {
		if chunks += h.entry.chunks(); chunks > leafChunks {
			break
		}
	}
	if chunks <= leafChunks {
		return append(out, l), nil
	}
	if l.length >= zapHashBits-2 { // where zap_grow_ptrtbl too gives up
		return nil, fmt.Errorf("ZAP: too many names have the same hash as %.40q", l.entries[0].entry.name)
	}
	bit := uint64(1) << (63 - l.length)
	at, _ := slices.BinarySearchFunc(l.entries, true, func(h hashedEntry, _ bool) int {
		if h.hash&bit == 0 {
			return -1
		}
		return 0
	})
	out, err := splitLeaf(out, fatLeaf{l.prefix << 1, l.length + 1, l.entries[:at]})
	if err != nil {
		return nil, err
	}
	return splitLeaf(out, fatLeaf{l.prefix<<1 | 1, l.length + 1, l.entries[at:]})
}

// fatHeader returns the first block (zap_phys_t).
func (z zapWriter) fatHeader(leaves []fatLeaf, shift uint) []byte {
	le := binary.LittleEndian
	block := make([]byte, fatBlock)
	le.PutUint64(block, zapHeaderBlock)
	le.PutUint64(block[8:], zapMagic)
	free := uint64(1 + len(leaves))
	if shift == embeddedShift {
		_ = eachPointerBlock(leaves, shift, func(table []byte) error {
			copy(block[fatBlock/2:], table)
			return nil
		})
	} else {
		blocks := uint64(1) << (shift - tableShift)
		le.PutUint64(block[16:], free)   // zt_blk
		le.PutUint64(block[24:], blocks) // zt_numblks
		free += blocks
	}
	le.PutUint64(block[32:], uint64(shift)) // zt_shift
	le.PutUint64(block[56:], free)          // zap_freeblk
	le.PutUint64(block[64:], uint64(len(leaves)))
	le.PutUint64(block[72:], uint64(len(z.entries)))
	le.PutUint64(block[80:], z.salt)
	return block
}

// eachPointerBlock calls f with the table of 1<<shift pointers to leaves, block by
// block.
func eachPointerBlock(leaves []fatLeaf, shift uint, f func(block []byte) error) error {
	table := make([]byte, 0, fatBlock)
	for i, l := range leaves {
		for range uint64(1) << (shift - l.length) {
			table = binary.LittleEndian.AppendUint64(table, uint64(i+1))
			if len(table) == fatBlock {
				if err := f(table); err != nil {
					return err
				}
				table = make([]byte, 0, fatBlock)
			}
		}
	}
	if len(table) > 0 {
		return f(table)
	}
	return nil
}
