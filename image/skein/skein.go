// Package skein is Skein-1024-1024, the digest that pot gives its images.
//
// It is Skein 1.3 at full width and in its simplest form: no key, no tree, no
// personalization, and 1024 bits out, as FreeBSD's skein1024(1) prints them.
// Sections and tables named here are those of "The Skein Hash Function Family",
// version 1.3.
package skein

import (
	"encoding/binary"
	"hash"
)

//go:generate go run gen.go

// Size is the length of a digest in bytes.
const Size = 128

// BlockSize is what is hashed at a time, in bytes.
const BlockSize = 128

// words is the width of the state: Threefish-1024 works on 64-bit words.
const words = BlockSize / 8

// Fields of the upper half of a tweak (table 5) and the block types (table 6).
const (
	first       = 1 << 62
	final       = 1 << 63
	typeConfig  = 4 << 56
	typeMessage = 48 << 56
	typeOutput  = 63 << 56
)

// parity is C240 of section 3.3.2: the key's last word is its xor with the
// others, so that none of them is all zeros.
const parity = 0x1BD11BDAA9FC1A22

// iv is the state after the configuration, which never changes.
var iv = configured()

// configured hashes the configuration string of section 3.5.2: the schema
// "SHA3", version 1, and the length of the output in bits.
func configured() [words]uint64 {
	const used = 32
	var block [BlockSize]byte
	copy(block[:], "SHA3")
	binary.LittleEndian.PutUint16(block[4:], 1)
	binary.LittleEndian.PutUint64(block[8:], Size*8)

	var state [words]uint64
	chain(&state, block[:], used, first|final|typeConfig)
	return state
}

// digest is a hash under way.
type digest struct {
	state [words]uint64
	done  uint64 // bytes in state
	flags uint64 // first, until a block is in state
	n     int    // bytes waiting in block

	// block waits while it may be the last one, even when it is full: only
	// the last is hashed as final.
	block [BlockSize]byte
}

// New returns a hash of nothing yet.
func New() hash.Hash {
	d := new(digest)
	d.Reset()
	return d
}

// Sum is the digest of data.
func Sum(data []byte) [Size]byte {
	var d digest
	d.Reset()
	d.Write(data)
	return d.sum()
}

func (d *digest) Size() int      { return Size }
func (d *digest) BlockSize() int { return BlockSize }

func (d *digest) Reset() {
	*d = digest{state: iv, flags: first}
}

func (d *digest) Write(p []byte) (int, error) {
	written := len(p)
	if d.n > 0 {
		n := copy(d.block[d.n:], p)
		d.n += n
		p = p[n:]
		if len(p) == 0 {
			return written, nil
		}
		d.add(d.block[:])
		d.n = 0
	}
	for len(p) > BlockSize {
		d.add(p[:BlockSize])
		p = p[BlockSize:]
	}
	d.n = copy(d.block[:], p)
	return written, nil
}

// add hashes a block that is not the last one.
func (d *digest) add(block []byte) {
	d.done += BlockSize
	chain(&d.state, block, d.done, d.flags|typeMessage)
	d.flags = 0
}

func (d *digest) Sum(b []byte) []byte {
	sum := d.sum()
	return append(b, sum[:]...)
}

// sum finishes a copy of d, so that more can be written to d itself.
func (d *digest) sum() [Size]byte {
	state := d.state
	var block [BlockSize]byte
	copy(block[:], d.block[:d.n])
	chain(&state, block[:], d.done+uint64(d.n), d.flags|final|typeMessage)

	// The output transform (section 3.5.4) hashes a counter of output blocks.
	// All of the output is in block 0.
	chain(&state, make([]byte, BlockSize), 8, first|final|typeOutput)

	var sum [Size]byte
	for i, w := range state {
		binary.LittleEndian.PutUint64(sum[8*i:], w)
	}
	return sum
}

// chain is one step of UBI (section 3.4): state becomes the block encrypted
// under the state and the tweak, xored with the block. position is the bytes
// hashed so far, with those of this block.
func chain(state *[words]uint64, block []byte, position, flags uint64) {
	var in [words]uint64
	var key [words + 1]uint64
	b := (*[BlockSize]byte)(block)
	key[words] = parity
	for i, w := range state {
		in[i] = binary.LittleEndian.Uint64(b[8*i:])
		key[i] = w
		key[words] ^= w
	}
	encrypt(state, &in, &key, &[3]uint64{position, flags, position ^ flags})
}
