package xz

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// blockWriter writes an xz stream in Go. Blocks are compressed on several cores and
// written in input order (The .xz File Format 1.2, sections 2 to 4).
type blockWriter struct {
	ctx    context.Context
	w      io.Writer
	level  int
	block  []byte                    // being filled
	size   int                       // bytes of a full block
	queue  chan chan compressedBlock // in input order; its capacity bounds the workers
	result chan error                // of writeAll, sent once
	failed chan struct{}             // closed before an error is sent to result
}

// compressedBlock is one block in its compressed form, or the error of compressing it.
type compressedBlock struct {
	bytes    []byte // with header, padding and check
	unpadded uint64
	size     uint64 // bytes of its uncompressed data
	err      error
}

// newBlockWriter returns a writer that compresses with o.Workers blocks in progress, each in
// memory of o.Block and its compressed form.
func newBlockWriter(ctx context.Context, w io.Writer, o WriteOptions) (*blockWriter, error) {
	b := &blockWriter{
		ctx: ctx, w: w, level: o.Level, size: o.Block,
		queue: make(chan chan compressedBlock, o.Workers-1), result: make(chan error, 1), failed: make(chan struct{}),
	}
	go func() {
		err := b.writeAll()
		if err != nil {
			close(b.failed)
		}
		b.result <- err
	}()
	return b, nil
}

// Write implements io.Writer. After an error of w, it returns io.ErrClosedPipe, and Close
// returns the error.
func (b *blockWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if b.block == nil {
			b.block = make([]byte, 0, b.size)
		}
		part := p[n:][:min(len(p)-n, b.size-len(b.block))]
		b.block = append(b.block, part...)
		if len(b.block) == b.size {
			if err := b.start(); err != nil {
				return n, err
			}
		}
		n += len(part)
	}
	return n, nil
}

// start compresses the filled block in the background. It blocks while all workers are
// busy.
func (b *blockWriter) start() error {
	done := make(chan compressedBlock, 1)
	select {
	case b.queue <- done:
	case <-b.failed:
		return io.ErrClosedPipe // Close returns the cause
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
	data := b.block
	b.block = nil
	go func() { done <- compressBlock(data, b.level) }()
	return nil
}

// Close writes the last block, the index and the footer, and waits until all is written. It
// must be called once. It does not close w.
func (b *blockWriter) Close() (err error) {
	if len(b.block) > 0 {
		err = b.start()
	}
	close(b.queue)
	if written := <-b.result; written != nil {
		err = written
	}
	if b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return err
}

// streamFlags are the flags of stream header and footer: the check is CRC64.
var streamFlags = [2]byte{0, 4}

// writeAll writes the stream header, each block when it is its turn, the index and the
// footer.
func (b *blockWriter) writeAll() error {
	if _, err := b.w.Write(streamHeader(streamFlags)); err != nil {
		return err
	}
	var records []byte
	count := uint64(0)
	for done := range b.queue {
		block := <-done
		if block.err != nil {
			return block.err
		}
		if b.ctx.Err() != nil {
			return context.Cause(b.ctx)
		}
		if _, err := b.w.Write(block.bytes); err != nil {
			return err
		}
		count++
		records = binary.AppendUvarint(records, block.unpadded)
		records = binary.AppendUvarint(records, block.size)
	}
	index := append(binary.AppendUvarint([]byte{0}, count), records...)
	_, err := b.w.Write(endOfStream(index, streamFlags))
	return err
}

// appendCRC32 appends the CRC32 of p to out.
func appendCRC32(out, p []byte) []byte {
	return binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(p))
}

// dictionaryShifts holds the dictionary size of each level of xz(1), as a power of 2.
var dictionaryShifts = [...]uint{18, 20, 21, 22, 22, 23, 23, 24, 25, 26}

// compressBlock makes a block of data (section 3). Its header holds both sizes (flags 0xc0),
// so that it can be decoded in parallel, and one filter, LZMA2. The dictionary is no larger
// than the data needs, since a decoder allocates all of it.
func compressBlock(data []byte, level int) compressedBlock {
	shift := dictionaryShifts[level]
	for shift > 16 && 1<<(shift-1) >= len(data) {
		shift--
	}
	var packed bytes.Buffer
	w, err := lzma.Writer2Config{DictCap: 1 << shift}.NewWriter2(&packed)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return compressedBlock{err: err}
	}
	const lzma2 = 0x21
	header := binary.AppendUvarint([]byte{0, 0xc0}, uint64(packed.Len()))
	header = binary.AppendUvarint(header, uint64(len(data)))
	header = append(header, lzma2, 1, byte(2*(shift-12)))
	header = append(header, make([]byte, -len(header)&3)...)
	header[0] = byte(len(header) / 4)
	out := append(appendCRC32(header, header), packed.Bytes()...)
	block := compressedBlock{unpadded: uint64(len(out)) + crc64.Size, size: uint64(len(data))}
	out = append(out, make([]byte, -len(out)&3)...)
	block.bytes = binary.LittleEndian.AppendUint64(out, crc64.Checksum(data, crcTable))
	return block
}

var crcTable = crc64.MakeTable(crc64.ECMA)
