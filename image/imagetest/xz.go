package imagetest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
)

// XZ returns data as an xz stream of one block, stored and not compressed. xz(1) can
// read it, and it needs no encoder.
func XZ(data []byte) []byte {
	const crc64Check = 4
	flags := []byte{0, crc64Check}
	header := append([]byte{0xFD, '7', 'z', 'X', 'Z', 0}, flags...)
	out := appendCRC32(header, flags)

	// One filter, LZMA2 (0x21), whose dictionary of 4 KiB is coded as 0.
	block := []byte{2, 0, 0x21, 1, 0, 0, 0, 0}
	start := len(out)
	out = append(out, appendCRC32(block, block)...)
	out = append(out, storedChunks(data)...)
	unpadded := len(out) - start + crc64.Size
	out = append(out, make([]byte, padding(len(out)-start))...)
	sum := crc64.Checksum(data, crc64.MakeTable(crc64.ECMA))
	out = binary.LittleEndian.AppendUint64(out, sum)

	index := []byte{0, 1} // the index follows, of one record
	index = binary.AppendUvarint(index, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(len(data)))
	index = append(index, make([]byte, padding(len(index)))...)
	index = appendCRC32(index, index)
	out = append(out, index...)

	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	footer = append(footer, flags...)
	out = append(out, appendCRC32(nil, footer)...)
	return append(append(out, footer...), "YZ"...)
}

// storedChunks returns data as uncompressed LZMA2 chunks, the first of which resets the
// dictionary.
func storedChunks(data []byte) []byte {
	const most = 1 << 16
	var b bytes.Buffer
	for control := byte(1); len(data) > 0; control = 2 {
		n := min(most, len(data))
		b.Write([]byte{control, byte((n - 1) >> 8), byte(n - 1)})
		b.Write(data[:n])
		data = data[n:]
	}
	b.WriteByte(0)
	return b.Bytes()
}

// padding returns how many bytes pad n to a multiple of 4.
func padding(n int) int { return (4 - n%4) % 4 }

func appendCRC32(b, of []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(of))
}
