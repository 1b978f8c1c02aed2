package skein

import (
	"encoding/binary"
	"math/bits"
)

// A second implementation to compare with: Skein-1024-1024 of a whole message, written
// from the specification with nothing unrolled, buffered or precomputed.

var plainRotations = [8][8]int{
	{24, 13, 8, 47, 8, 17, 22, 37}, {38, 19, 10, 55, 49, 18, 23, 52},
	{33, 4, 51, 13, 34, 41, 59, 17}, {5, 20, 48, 41, 47, 28, 16, 25},
	{41, 9, 37, 31, 12, 47, 44, 30}, {16, 34, 56, 51, 4, 53, 42, 41},
	{31, 44, 47, 46, 19, 42, 44, 25}, {9, 48, 35, 52, 23, 31, 37, 20},
}

var plainPermutation = [16]int{0, 9, 2, 13, 6, 11, 4, 15, 10, 7, 12, 3, 14, 5, 8, 1}

func plainThreefish(key [16]uint64, tweak [2]uint64, block [16]uint64) [16]uint64 {
	k := append(key[:], 0x1BD11BDAA9FC1A22)
	for _, w := range key {
		k[16] ^= w
	}
	t := []uint64{tweak[0], tweak[1], tweak[0] ^ tweak[1]}
	inject := func(x *[16]uint64, s int) {
		for i := range x {
			x[i] += k[(s+i)%17]
		}
		x[13] += t[s%3]
		x[14] += t[(s+1)%3]
		x[15] += uint64(s)
	}
	x := block
	for d := range 80 {
		if d%4 == 0 {
			inject(&x, d/4)
		}
		for j := range 8 {
			a, b := x[2*j]+x[2*j+1], bits.RotateLeft64(x[2*j+1], plainRotations[d%8][j])
			x[2*j], x[2*j+1] = a, a^b
		}
		before := x
		for i := range x {
			x[i] = before[plainPermutation[i]]
		}
	}
	inject(&x, 20)
	return x
}

// plainUBI is UBI of section 3.4 for a message of whole bytes.
func plainUBI(state [16]uint64, message []byte, kind uint64) [16]uint64 {
	padded := append([]byte(nil), message...)
	for len(padded) == 0 || len(padded)%128 != 0 {
		padded = append(padded, 0)
	}
	for at := 0; at < len(padded); at += 128 {
		var block [16]uint64
		for i := range block {
			block[i] = binary.LittleEndian.Uint64(padded[at+8*i:])
		}
		tweak := [2]uint64{uint64(min(at+128, len(message))), kind << 56}
		if at == 0 {
			tweak[1] |= 1 << 62
		}
		if at+128 == len(padded) {
			tweak[1] |= 1 << 63
		}
		out := plainThreefish(state, tweak, block)
		for i := range state {
			state[i] = out[i] ^ block[i]
		}
	}
	return state
}

func plainSum(message []byte) []byte {
	config := make([]byte, 32)
	copy(config, "SHA3\x01\x00")
	binary.LittleEndian.PutUint64(config[8:], 1024)
	state := plainUBI([16]uint64{}, config, 4)
	state = plainUBI(state, message, 48)
	state = plainUBI(state, make([]byte, 8), 63)
	var sum []byte
	for _, w := range state {
		sum = binary.LittleEndian.AppendUint64(sum, w)
	}
	return sum
}
