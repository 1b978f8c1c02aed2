package zstream

import (
	"errors"
	"fmt"
	"math/bits"
)

// check verifies that every chunk is in at most one chain and has the type of that
// chain. A kernel follows the chains of a leaf without a check: to look up a name by its
// hash, to allocate a free chunk, to free an array (module/zfs/zap_leaf.c,
// zap_leaf_lookup, zap_leaf_chunk_alloc, zap_leaf_array_free). It reads and writes
// wherever they lead, and never leaves a loop.
func (l *zapLeaf) check() error {
	o := l.order
	if l.claimed == nil {
		l.claimed = make([]bool, len(l.chunks)/chunkSize)
	}
	clear(l.claimed)
	buckets, length := len(l.block)/32, uint(o.u16(l.block[32:])) // ZAP_LEAF_HASH_NUMENTRIES, lh_prefix_len
	shift, prefix := uint(bits.Len(uint(buckets))-1), o.u64(l.block[16:])
	count := 0
	for i := range buckets {
		for next := o.u16(l.block[leafHeader+2*i:]); next != chainEnd; count++ {
			c, err := l.claimChunk(next, chunkEntry)
			if err != nil {
				return err
			}
			hash := o.u64(c[16:])                                                  // le_hash
			if hash>>(64-length) != prefix || int(hash<<length>>(64-shift)) != i { // LEAF_HASH
				return fmt.Errorf("ZAP: an entry of hash %#x in the wrong chain", hash)
			}
			if err := l.checkArrays(c); err != nil {
				return err
			}
			next = o.u16(c[2:]) // le_next
		}
	}
	if said := int(o.u16(l.block[30:])); count != said { // lh_nentries
		return fmt.Errorf("ZAP: a leaf of %d entries has %d in its chains", said, count)
	}
	next := o.u16(l.block[34:])          // lh_freelist
	for range int(o.u16(l.block[28:])) { // lh_nfree
		c, err := l.claimChunk(next, chunkFree)
		if err != nil {
			return err
		}
		next = o.u16(c[1+arrayBytes:]) // lf_next
	}
	if next != chainEnd {
		return errors.New("ZAP: a leaf has more free chunks than it says")
	}
	return nil
}

// checkArrays verifies the chains of an entry's name and value.
func (l *zapLeaf) checkArrays(c []byte) error {
	o := l.order
	for _, a := range []struct {
		next uint16
		size int
	}{
		{o.u16(c[4:]), int(o.u16(c[6:]))},
		{o.u16(c[8:]), int(o.u16(c[10:])) * int(c[1])},
	} {
		for range chunksFor(a.size) {
			chunk, err := l.claimChunk(a.next, chunkArray)
			if err != nil {
				return err
			}
			a.next = o.u16(chunk[1+arrayBytes:]) // la_next
		}
		if a.next != chainEnd {
			return errors.New("ZAP: a chain of chunks is longer than its entry")
		}
	}
	return nil
}

// claimChunk returns chunk n and marks it used, or an error if another chain has it.
func (l *zapLeaf) claimChunk(n uint16, kind byte) ([]byte, error) {
	if int(n) >= len(l.claimed) {
		return nil, fmt.Errorf("ZAP: a chain leads to chunk %d of %d", n, len(l.claimed))
	}
	c := l.chunks[int(n)*chunkSize:][:chunkSize]
	if c[0] != kind {
		return nil, fmt.Errorf("ZAP: a chunk of type %d in a chain of type %d", c[0], kind)
	}
	if l.claimed[n] {
		return nil, fmt.Errorf("ZAP: chunk %d is in two chains", n)
	}
	l.claimed[n] = true
	return c, nil
}
