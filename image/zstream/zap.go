package zstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A ZAP is ZFS's map from names to arrays of integers: "micro", in one block, or
// "fat", a table of pointers to leaves. Layouts are of OpenZFS
// include/sys/zap_impl.h (mzap_phys_t, zap_phys_t) and zap_leaf.h.
type zap struct {
	data  io.ReaderAt
	size  int64 // of data
	block int64 // drr_blksz
}

// Block types and magic numbers.
const (
	zapLeafBlock   = 1<<63 + 0 // ZBT_LEAF
	zapHeaderBlock = 1<<63 + 1 // ZBT_HEADER
	zapMicroBlock  = 1<<63 + 3 // ZBT_MICRO
	zapMagic       = 0x2F52AB2AB
	zapLeafMagic   = 0x2AB1EAF
)

// Bounds: a microzap is at most 128 KiB (MZAP_MAX_BLKSZ), 1 MiB in new
// versions; fat ones have blocks of 16 KiB by default.
const (
	zapMinBlock = 512
	zapMaxBlock = 1 << 20
	zapMaxSize  = 1 << 30
)

// entry is a name and its value. The value's slice is overwritten by the next.
type entry struct {
	name  string
	value []uint64
}

// each calls f with every entry, in no order.
func (z zap) each(f func(entry) error) error {
	if z.block < zapMinBlock || z.block > zapMaxBlock || z.block&(z.block-1) != 0 && z.block%zapMinBlock != 0 {
		return fmt.Errorf("ZAP: a block size of %d cannot be", z.block)
	}
	if z.size > zapMaxSize {
		return fmt.Errorf("ZAP: of %d bytes, more than %d", z.size, zapMaxSize)
	}
	first, err := z.readBlock(0)
	if err != nil {
		return err
	}
	switch t := binary.LittleEndian.Uint64(first); t {
	case zapMicroBlock:
		return eachMicro(first, f)
	case zapHeaderBlock:
		return z.eachFat(first, f)
	default:
		return fmt.Errorf("ZAP: no such block type: %#x", t)
	}
}

// readBlock reads one block; what was never written of it is zero.
func (z zap) readBlock(n int64) ([]byte, error) {
	if n < 0 || n >= (z.size+z.block-1)/z.block {
		return nil, fmt.Errorf("ZAP: block %d is beyond its end", n)
	}
	b := make([]byte, z.block)
	if _, err := z.data.ReadAt(b, n*z.block); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// eachMicro reads a microzap: a header, then entries, of 64 bytes each.
func eachMicro(block []byte, f func(entry) error) error {
	const size = 64
	for at := size; at+size <= len(block); at += size {
		name, _, ok := bytes.Cut(block[at+14:at+size], []byte{0}) // mze_name
		if len(name) == 0 {
			continue // free
		}
		if !ok {
			return fmt.Errorf("ZAP: a name without an end: %q", name)
		}
		value := binary.LittleEndian.Uint64(block[at:])
		if err := f(entry{string(name), []uint64{value}}); err != nil {
			return err
		}
	}
	return nil
}

// eachFat goes through the table of pointers, and through each leaf once.
func (z zap) eachFat(header []byte, f func(entry) error) error {
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(header[at:]) }
	if m := u64(8); m != zapMagic {
		return fmt.Errorf("ZAP: bad magic number %#x", m)
	}
	start, blocks, shift := u64(16), u64(24), u64(32) // zap_ptrtbl: zt_blk, zt_numblks, zt_shift
	at := int64(start) * z.block
	if blocks == 0 { // the table is the second half of the header
		at = z.block / 2
	}
	if shift > 27 || start > uint64(zapMaxSize/z.block) || at+8<<shift > z.size {
		return errors.New("ZAP: its table of pointers is beyond its end")
	}
	seen := map[int64]bool{}
	table := bytesReader{r: z.data, at: at}
	for range int64(1) << shift {
		leaf, err := table.u64()
		if err != nil {
			return err
		}
		if seen[int64(leaf)] {
			continue
		}
		seen[int64(leaf)] = true
		block, err := z.readBlock(int64(leaf))
		if err != nil {
			return err
		}
		if err := eachInLeaf(block, f); err != nil {
			return err
		}
	}
	return nil
}

// bytesReader reads a table without having it all in memory.
type bytesReader struct {
	r   io.ReaderAt
	at  int64
	buf []byte
	own [8 << 10]byte
}

func (b *bytesReader) u64() (uint64, error) {
	if len(b.buf) < 8 {
		n, err := b.r.ReadAt(b.own[:], b.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		clear(b.own[n:]) // what was never written is zero
		b.buf, b.at = b.own[:], b.at+int64(len(b.own))
	}
	v := binary.LittleEndian.Uint64(b.buf)
	b.buf = b.buf[8:]
	return v, nil
}

// Leaves are made of chunks of 24 bytes behind a header of 48 and a hash table
// of 2 bytes for every 32 of the block.
const (
	chunkSize  = 24
	leafHeader = 48

	chunkEntry = 252 // ZAP_CHUNK_ENTRY
	chunkArray = 251 // ZAP_CHUNK_ARRAY
	arrayBytes = 21  // ZAP_LEAF_ARRAY_BYTES
	noChunk    = 0xffff

	maxKey   = 1024 // ZAP_MAXNAMELEN_NEW
	maxValue = 1024 * 8
)

// eachInLeaf reads a leaf block (zap_leaf_phys_t).
func eachInLeaf(block []byte, f func(entry) error) error {
	le := binary.LittleEndian
	if t := le.Uint64(block); t != zapLeafBlock {
		return fmt.Errorf("ZAP: a leaf of block type %#x", t)
	}
	if m := le.Uint32(block[24:]); m != zapLeafMagic {
		return fmt.Errorf("ZAP: a leaf of magic number %#x", m)
	}
	chunks := block[leafHeader+len(block)/32*2:]
	for at := 0; at+chunkSize <= len(chunks); at += chunkSize {
		c := chunks[at : at+chunkSize]
		if c[0] != chunkEntry {
			continue
		}
		intlen := int(c[1])                // le_value_intlen
		nameLen := int(le.Uint16(c[6:]))   // le_name_numints: bytes, with the NUL
		valueLen := int(le.Uint16(c[10:])) // le_value_numints
		if intlen != 1 && intlen != 2 && intlen != 4 && intlen != 8 {
			return fmt.Errorf("ZAP: integers of %d bytes cannot be", intlen)
		}
		if nameLen == 0 || nameLen > maxKey || valueLen*intlen > maxValue {
			return fmt.Errorf("ZAP: an entry with a name of %d bytes and a value of %d", nameLen, valueLen*intlen)
		}
		name, err := readArray(chunks, le.Uint16(c[4:]), nameLen)
		if err != nil {
			return err
		}
		if name[nameLen-1] != 0 || bytes.IndexByte(name, 0) != nameLen-1 {
			return fmt.Errorf("ZAP: a key that is no name: %q", name)
		}
		raw, err := readArray(chunks, le.Uint16(c[8:]), valueLen*intlen)
		if err != nil {
			return err
		}
		if err := f(entry{string(name[:nameLen-1]), integers(raw, intlen)}); err != nil {
			return err
		}
	}
	return nil
}

// readArray reads n bytes from a chain of chunks. The chain is followed no
// further than n, so a loop in it ends.
func readArray(chunks []byte, first uint16, n int) ([]byte, error) {
	out := make([]byte, 0, n)
	for next := first; len(out) < n; {
		at := int(next) * chunkSize
		if next == noChunk || at+chunkSize > len(chunks) || chunks[at] != chunkArray {
			return nil, errors.New("ZAP: a broken chain of chunks")
		}
		out = append(out, chunks[at+1:at+1+min(arrayBytes, n-len(out))]...)
		next = binary.LittleEndian.Uint16(chunks[at+1+arrayBytes:])
	}
	return out, nil
}

// integers are those of an array, which is big-endian.
func integers(raw []byte, size int) []uint64 {
	out := make([]uint64, 0, len(raw)/size)
	for ; len(raw) >= size; raw = raw[size:] {
		v := uint64(0)
		for _, b := range raw[:size] {
			v = v<<8 | uint64(b)
		}
		out = append(out, v)
	}
	return out
}
