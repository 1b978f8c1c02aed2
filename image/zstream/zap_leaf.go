package zstream

import (
	"bytes"
	"errors"
	"fmt"
)

// zapLeaf is a leaf of a fat ZAP (OpenZFS include/sys/zap_leaf.h, zap_leaf_phys_t): a
// header of 48 bytes, a hash table of 2 bytes for every 32 bytes of the block, and
// chunks of 24 bytes. An entry is one chunk with the numbers of the chunks where its
// name and its value begin. Reading all entries does not need the hash table;
// zap_leaf_check.go verifies it.
type zapLeaf struct {
	order   byteOrder
	block   []byte
	chunks  []byte
	claimed []bool   // chunks that belong to a chain, set by check
	count   uint64   // number of entries, set by each
	name    []byte   // buffer of readEntry
	raw     []byte   // buffer of readEntry
	value   []uint64 // buffer of readEntry
}

// Sizes and types of chunks, zap_chunk_type_t.
const (
	leafHeader = 48
	chunkSize  = 24 // ZAP_LEAF_CHUNKSIZE
	chunkEntry = 252
	chunkArray = 251
	arrayBytes = 21 // ZAP_LEAF_ARRAY_BYTES
)

// maxKey is ZAP_MAXNAMELEN_NEW (zap.h), with the NUL.
const maxKey = 1024

// maxValue bounds a value, in bytes: a layout of attributes takes about 50.
const maxValue = 8 << 10

// newLeaf returns a leaf with a buffer of size bytes for its block.
func newLeaf(size int, o byteOrder) *zapLeaf {
	block := make([]byte, size)
	return &zapLeaf{order: o, block: block, chunks: block[leafHeader+size/32*2:]}
}

// pointerCount checks the header and returns how many pointers, from the i-th of
// 1<<shift on, lead to this leaf. Offsets in struct zap_leaf_header: block_type 0,
// prefix 16, magic 24, nentries 30, prefix_len 32.
func (l *zapLeaf) pointerCount(i uint64, shift uint) (uint64, error) {
	o := l.order
	if t := o.u64(l.block); t != zapLeafBlock {
		return 0, fmt.Errorf("ZAP: a leaf of type %#x", t)
	}
	if m := o.u32(l.block[24:]); m != zapLeafMagic {
		return 0, fmt.Errorf("ZAP: a leaf of magic number %#x", m)
	}
	prefix, length := o.u64(l.block[16:]), uint(o.u16(l.block[32:])) // lh_prefix, lh_prefix_len
	if length > shift || prefix != i>>(shift-length) || i&(1<<(shift-length)-1) != 0 {
		return 0, fmt.Errorf("ZAP: a leaf for %#x of %d bits where %#x of %d is wanted", prefix, length, i, shift)
	}
	return 1 << (shift - length), nil
}

// each calls f with every entry, in the order of the chunks, and then checks the chains.
func (l *zapLeaf) each(f func(zapAttribute) error) error {
	count := int(l.order.u16(l.block[30:])) // lh_nentries
	l.count = uint64(count)
	left := len(l.chunks) / chunkSize
	for at := 0; at+chunkSize <= len(l.chunks); at += chunkSize {
		c := l.chunks[at : at+chunkSize]
		if c[0] != chunkEntry {
			continue
		}
		count--
		e, used, err := l.readEntry(c)
		if err != nil {
			return err
		}
		// A chunk belongs to one entry, so the entries cannot use more chunks than the
		// leaf has.
		if left -= used; left < 0 {
			return errors.New("ZAP: a chunk of a leaf belongs to more than one entry")
		}
		if err := f(e); err != nil {
			return err
		}
	}
	if count != 0 {
		return fmt.Errorf("ZAP: a leaf is said to have %d entries more", count)
	}
	return l.check()
}

// readEntry reads an entry and returns the number of chunks that it uses. Offsets in
// struct zap_leaf_entry: value_intlen 1, name_chunk 4, name_numints 6, value_chunk 8,
// value_numints 10.
func (l *zapLeaf) readEntry(c []byte) (e zapAttribute, used int, err error) {
	o := l.order
	size := int(c[1])              // le_value_intlen
	nameLen := int(o.u16(c[6:]))   // le_name_numints: bytes, with the NUL
	valueLen := int(o.u16(c[10:])) // le_value_numints
	if size != 1 && size != 2 && size != 4 && size != 8 {
		return e, 0, fmt.Errorf("ZAP: integers of %d bytes cannot be", size)
	}
	if nameLen == 0 || nameLen > maxKey || valueLen*size > maxValue {
		return e, 0, fmt.Errorf("ZAP: an entry with a name of %d bytes and a value of %d", nameLen, valueLen*size)
	}
	if l.name, err = l.readArray(l.name[:0], o.u16(c[4:]), nameLen); err != nil {
		return e, 0, err
	}
	if bytes.IndexByte(l.name, 0) != nameLen-1 {
		return e, 0, fmt.Errorf("ZAP: a key that is no name: %q", l.name)
	}
	if l.raw, err = l.readArray(l.raw[:0], o.u16(c[8:]), valueLen*size); err != nil {
		return e, 0, err
	}
	l.value = integers(l.value[:0], l.raw, size)
	used = 1 + chunksFor(nameLen) + chunksFor(valueLen*size)
	return zapAttribute{l.name[:nameLen-1], l.value}, used, nil
}

// chunksFor returns how many chunks n bytes take, ZAP_LEAF_ARRAY_NCHUNKS.
func chunksFor(n int) int { return (n + arrayBytes - 1) / arrayBytes }

// readArray appends n bytes of a chain of chunks to out. It follows the chain for n
// bytes only, so a loop ends.
func (l *zapLeaf) readArray(out []byte, next uint16, n int) ([]byte, error) {
	for n > 0 {
		at := int(next) * chunkSize
		if at+chunkSize > len(l.chunks) || l.chunks[at] != chunkArray {
			return out, errors.New("ZAP: a chain of chunks is broken")
		}
		part := min(arrayBytes, n)
		out = append(out, l.chunks[at+1:at+1+part]...)
		n -= part
		next = l.order.u16(l.chunks[at+1+arrayBytes:])
	}
	return out, nil
}

// integers appends the integers in raw to out. Arrays are big-endian in every stream.
func integers(out []uint64, raw []byte, size int) []uint64 {
	for ; len(raw) >= size; raw = raw[size:] {
		v := uint64(0)
		for _, b := range raw[:size] {
			v = v<<8 | uint64(b)
		}
		out = append(out, v)
	}
	return out
}
