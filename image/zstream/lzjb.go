package zstream

import (
	"fmt"
	"io"
)

// decompressLZJB reads ZFS's LZJB (OpenZFS module/zfs/lzjb.c). A byte of flags precedes
// eight items, each either a literal byte or a copy of earlier output: 6 bits of length
// and 10 of distance.
func decompressLZJB(packed, out []byte) error {
	const lengthBits, shortest = 6, 3 // MATCH_BITS, MATCH_MIN
	copies, bit := byte(0), 8
	for n := 0; n < len(out); bit++ {
		if bit == 8 {
			if len(packed) == 0 {
				return io.ErrUnexpectedEOF
			}
			copies, packed, bit = packed[0], packed[1:], 0
		}
		if copies&(1<<bit) == 0 {
			if len(packed) == 0 {
				return io.ErrUnexpectedEOF
			}
			out[n], packed = packed[0], packed[1:]
			n++
			continue
		}
		if len(packed) < 2 {
			return io.ErrUnexpectedEOF
		}
		length := int(packed[0]>>(8-lengthBits)) + shortest
		back := (int(packed[0])<<8 | int(packed[1])) & (1<<(16-lengthBits) - 1)
		packed = packed[2:]
		if back == 0 || back > n {
			return distanceError(back)
		}
		for end := min(n+length, len(out)); n < end; n++ { // source and destination may overlap
			out[n] = out[n-back]
		}
	}
	return nil
}

// decompressZLE reads ZFS's ZLE (module/zfs/zle.c), which compresses runs of zeros. A
// byte below 64 (zio_compress_table, ci_level) precedes that many literal bytes and one
// more; a higher byte stands for as many zeros as it exceeds 63.
func decompressZLE(packed, out []byte) error {
	const literals = 64
	for len(out) > 0 {
		if len(packed) == 0 {
			return io.ErrUnexpectedEOF
		}
		n := int(packed[0]) + 1
		packed = packed[1:]
		if n > literals {
			n -= literals
			if n > len(out) {
				return sizeError(n)
			}
			clear(out[:n])
			out = out[n:]
			continue
		}
		if n > len(packed) {
			return io.ErrUnexpectedEOF
		}
		if n > len(out) {
			return sizeError(n)
		}
		copy(out, packed[:n])
		packed, out = packed[n:], out[n:]
	}
	return nil
}

// distanceError reports a copy from before the beginning of the output.
func distanceError(back int) error { return fmt.Errorf("a copy of what was %d bytes before", back) }
