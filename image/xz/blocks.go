package xz

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// blockInfo describes a block of an .xz file, as the index does, with what it takes to
// decode it alone.
type blockInfo struct {
	flags      [2]byte // of its stream
	offset     int64   // offset of its header
	unpadded   int64   // bytes of header, compressed data and check, without the padding to a multiple of 4
	size       int64   // bytes of its uncompressed data
	dictionary int64   // bytes
}

func (b blockInfo) padded() int64 { return (b.unpadded + 3) &^ 3 }

// memory returns the bytes that decoding the block takes.
func (b blockInfo) memory() int64 { return b.size + b.dictionary }

// Bounds on an index. At 8 MiB a block, so many blocks hold 8 TiB.
const (
	maxBlocks = 1 << 20
	maxIndex  = 20 * maxBlocks
)

// Sizes of a stream's header and footer (The .xz File Format 1.2, sections 2.1.1 and
// 2.1.2).
const (
	headerBytes = 12
	footerBytes = 12
)

// findBlocks finds the blocks of an .xz file of end bytes, beginning at its end, where the
// index is. It returns false if the file cannot be decoded in parts or is damaged: a serial
// reader then says what is wrong. If it returns true, every byte of the file belongs to a
// block or has been checked.
func findBlocks(r io.ReaderAt, end int64) (blocks []blockInfo, ok bool) {
	for end > 0 {
		end = trimPadding(r, end)
		begin, of, ok := findStreamBlocks(r, end)
		if !ok || len(blocks)+len(of) > maxBlocks {
			return nil, false
		}
		blocks = append(of, blocks...)
		end = begin
	}
	for i := range blocks {
		if blocks[i].dictionary, ok = blockDictionary(r, blocks[i]); !ok {
			return nil, false
		}
	}
	return blocks, len(blocks) > 0
}

// trimPadding returns the end of the stream before end, without the stream padding: zeros in
// a multiple of 4 (section 2.2).
func trimPadding(r io.ReaderAt, end int64) int64 {
	page := make([]byte, 4096)
	for end >= 4 {
		n := min(int64(len(page)), end&^3)
		if _, err := r.ReadAt(page[:n], end-n); err != nil {
			return end
		}
		kept := bytes.TrimRight(page[:n], "\x00")
		end -= (n - int64(len(kept))) &^ 3
		if len(kept) > 0 {
			break
		}
	}
	return end
}

// findStreamBlocks returns where the stream that ends at end begins, and its blocks, without
// their dictionaries. It checks the stream's footer, index and header, which must agree.
func findStreamBlocks(r io.ReaderAt, end int64) (begin int64, blocks []blockInfo, ok bool) {
	if end < headerBytes+footerBytes {
		return 0, nil, false
	}
	footer := make([]byte, footerBytes) // CRC32, size of the index, flags, "YZ"
	if _, err := r.ReadAt(footer, end-footerBytes); err != nil ||
		string(footer[10:]) != "YZ" || crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) {
		return 0, nil, false
	}
	indexBytes := (int64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4
	at := end - footerBytes - indexBytes
	if indexBytes > maxIndex || at < headerBytes {
		return 0, nil, false
	}
	index := make([]byte, indexBytes)
	if _, err := r.ReadAt(index, at); err != nil {
		return 0, nil, false
	}
	if blocks, ok = parseIndex(index); !ok {
		return 0, nil, false
	}
	for i := len(blocks) - 1; i >= 0; i-- {
		if blocks[i].unpadded > at-headerBytes {
			return 0, nil, false
		}
		at -= blocks[i].padded()
		blocks[i].offset = at
		blocks[i].flags = [2]byte(footer[8:10])
	}
	begin = at - headerBytes
	header := make([]byte, headerBytes)
	if begin < 0 {
		return 0, nil, false
	}
	if _, err := r.ReadAt(header, begin); err != nil || !bytes.Equal(header, streamHeader([2]byte(footer[8:10]))) {
		return 0, nil, false
	}
	return begin, blocks, true
}

// streamHeader returns a stream header with those flags.
func streamHeader(flags [2]byte) []byte {
	return appendCRC32(append([]byte("\xfd7zXZ\x00"), flags[:]...), flags[:])
}

// parseIndex reads the sizes of the blocks from an index (section 4). It accepts only numbers
// in their shortest form, as the format requires (section 1.2).
func parseIndex(index []byte) (blocks []blockInfo, ok bool) {
	body, sum := index[:len(index)-4], index[len(index)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) || body[0] != 0 {
		return nil, false
	}
	body = body[1:]
	number := func() int64 {
		n, length := binary.Uvarint(body)
		if length <= 0 || n >= 1<<62 || length > 1 && body[length-1] == 0 {
			ok = false
			return 0
		}
		body = body[length:]
		return int64(n)
	}
	ok = true
	count := number()
	if count > maxBlocks {
		return nil, false
	}
	for range count {
		b := blockInfo{unpadded: number(), size: number()}
		if !ok || b.unpadded < 5 {
			return nil, false
		}
		blocks = append(blocks, b)
	}
	return blocks, ok && len(body) < 4 && len(bytes.Trim(body, "\x00")) == 0
}

// blockDictionary returns the dictionary that the header of a block asks for, in bytes
// (section 3.1). It returns false for a header that the decoder would not understand.
func blockDictionary(r io.ReaderAt, b blockInfo) (bytes int64, ok bool) {
	header := make([]byte, min(1024, b.unpadded))
	if _, err := r.ReadAt(header, b.offset); err != nil || header[0] == 0 || 4*(int(header[0])+1) > len(header) {
		return 0, false
	}
	flags, rest := header[1], header[2:4*int(header[0])]
	skip := func() (n uint64) {
		n, length := binary.Uvarint(rest)
		if length <= 0 {
			rest = nil
			return 0
		}
		rest = rest[length:]
		return n
	}
	for _, present := range []byte{0x40, 0x80} { // sizes, compressed and not
		if flags&present != 0 {
			skip()
		}
	}
	for range flags&3 + 1 {
		id, length := skip(), skip()
		if length > uint64(len(rest)) {
			return 0, false
		}
		const lzma2 = 0x21
		if id == lzma2 && length == 1 {
			return dictionaryBytes(rest[0])
		}
		rest = rest[length:]
	}
	return 0, false
}

// dictionaryBytes returns the dictionary size that LZMA2's property byte encodes
// (section 5.3.1).
func dictionaryBytes(property byte) (bytes int64, ok bool) {
	switch {
	case property > 40:
		return 0, false
	case property == 40:
		return 1<<32 - 1, true
	}
	return int64(2|property&1) << (property/2 + 11), true
}

// asStream returns the block as a stream with a header, an index and a footer, which any
// decoder accepts. The block's bytes are read from r, unchanged.
func (b blockInfo) asStream(r io.ReaderAt) io.Reader {
	index := binary.AppendUvarint([]byte{0, 1}, uint64(b.unpadded))
	index = binary.AppendUvarint(index, uint64(b.size))
	return io.MultiReader(
		bytes.NewReader(streamHeader(b.flags)),
		io.NewSectionReader(r, b.offset, b.padded()),
		bytes.NewReader(endOfStream(index, b.flags)),
	)
}

// endOfStream completes an index by its padding and check (section 4), and appends the footer
// (section 2.1.2).
func endOfStream(index []byte, flags [2]byte) []byte {
	index = append(index, make([]byte, -len(index)&3)...)
	index = appendCRC32(index, index)
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	footer = append(footer, flags[:]...)
	return append(append(appendCRC32(index, footer), footer...), "YZ"...)
}
