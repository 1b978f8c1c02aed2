package zstream

import "encoding/binary"

// valueBytes returns the size of the value in a leaf's arrays.
func (e *zapEntry) valueBytes() int {
	if e.list != nil {
		return 2 * len(e.list)
	}
	return 8
}

// chunks returns the number of chunks that the entry takes: its own, and the arrays of
// its name, with the NUL, and of its value.
func (e *zapEntry) chunks() int {
	return 1 + chunksFor(len(e.name)+1) + chunksFor(e.valueBytes())
}

// chunkFree is ZAP_CHUNK_FREE, and chainEnd is CHAIN_END of zap_leaf.c.
const (
	chunkFree = 253
	chainEnd  = 0xffff
)

// leafBuilder fills a leaf, whose chunks it allocates in order.
type leafBuilder struct {
	block []byte
	used  uint16
}

// block returns the encoded leaf (zap_leaf_phys_t).
func (l fatLeaf) block() []byte {
	le := binary.LittleEndian
	b := &leafBuilder{block: make([]byte, fatBlock)}
	le.PutUint64(b.block, zapLeafBlock)
	le.PutUint64(b.block[16:], l.prefix)
	le.PutUint32(b.block[24:], zapLeafMagic)
	le.PutUint16(b.block[30:], uint16(len(l.entries)))
	le.PutUint16(b.block[32:], uint16(l.length))
	for i := range leafHashes {
		le.PutUint16(b.block[leafHeader+2*i:], chainEnd)
	}
	cd := uint32(0)
	for i, h := range l.entries {
		if cd++; i == 0 || l.entries[i-1].hash != h.hash {
			cd = 0
		}
		b.add(h, cd, l.length)
	}
	b.free()
	return b.block
}

// chunk returns the i-th chunk.
func (b *leafBuilder) chunk(i uint16) []byte {
	at := leafHeader + 2*leafHashes + int(i)*chunkSize
	return b.block[at : at+chunkSize]
}

// take allocates the next free chunk.
func (b *leafBuilder) take() (i uint16, chunk []byte) {
	b.used++
	return b.used - 1, b.chunk(b.used - 1)
}

// add creates an entry and inserts it into the chain of its hash, which is sorted by cd.
func (b *leafBuilder) add(h hashedEntry, cd uint32, prefixLength uint) {
	le := binary.LittleEndian
	i, c := b.take()
	e := h.entry
	c[0], c[1] = chunkEntry, 8
	value := binary.BigEndian.AppendUint64(nil, e.v)
	if e.list != nil {
		c[1], value = 2, nil
		for _, v := range e.list {
			value = binary.BigEndian.AppendUint16(value, v)
		}
	}
	le.PutUint16(c[4:], b.array(append([]byte(e.name), 0)))
	le.PutUint16(c[6:], uint16(len(e.name)+1))
	le.PutUint16(c[8:], b.array(value))
	le.PutUint16(c[10:], uint16(len(value)/int(c[1])))
	le.PutUint32(c[12:], cd)
	le.PutUint64(c[16:], h.hash)

	bucket := h.hash >> (64 - leafHashShift - prefixLength) & (leafHashes - 1)
	link := b.block[leafHeader+2*bucket:]
	for le.Uint16(link) != chainEnd {
		next := b.chunk(le.Uint16(link))
		if le.Uint32(next[12:]) > cd {
			break
		}
		link = next[2:] // le_next
	}
	le.PutUint16(c[2:], le.Uint16(link))
	le.PutUint16(link, i)
}

// array stores bytes in a chain of chunks and returns the first chunk.
func (b *leafBuilder) array(p []byte) uint16 {
	le := binary.LittleEndian
	first, c := b.take()
	for {
		c[0] = chunkArray
		p = p[copy(c[1:1+arrayBytes], p):]
		if len(p) == 0 {
			le.PutUint16(c[1+arrayBytes:], chainEnd)
			return first
		}
		i, next := b.take()
		le.PutUint16(c[1+arrayBytes:], i)
		c = next
	}
}

// free chains the remaining chunks.
func (b *leafBuilder) free() {
	le := binary.LittleEndian
	le.PutUint16(b.block[28:], leafChunks-b.used) // lh_nfree
	le.PutUint16(b.block[34:], chainEnd)          // lh_freelist
	if b.used < leafChunks {
		le.PutUint16(b.block[34:], b.used)
	}
	for i := b.used; i < leafChunks; i++ {
		c := b.chunk(i)
		c[0] = chunkFree
		le.PutUint16(c[1+arrayBytes:], i+1)
		if i == leafChunks-1 {
			le.PutUint16(c[1+arrayBytes:], chainEnd)
		}
	}
}
