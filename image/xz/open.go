// Package xz reads and writes xz files (The .xz File Format 1.2.1) on several cores, by
// the system's xz(1) if it is new enough and by Go libraries otherwise.
//
// Begin with Open, which chooses between four ways to decode a file: all accept the
// same files. Blocks with known sizes are decoded in parallel (block_reader.go) by
// xz(1) (command_decoder.go) or in Go (library_decoder.go); other files are decoded
// from beginning to end by one xz(1) (command_reader.go) or in Go (reader.go).
// NewWriter compresses (writer.go), by xz(1) or in Go (block_writer.go).
//
// Files are untrusted: no size in them is believed, and the memory for decoding is
// bounded. The package knows nothing of images, digests or signatures.
package xz

import (
	"cmp"
	"context"
	"io"
	"runtime"
	"sync"
)

// DefaultMemory is the default of Options.Memory, in bytes.
const DefaultMemory = 256 << 20

// Options says how a file is decoded. The bound on memory holds whatever the file
// claims.
type Options struct {
	// Command is the path of xz(1), 5.2.0 or newer. "" means the one in PATH, or Go if
	// there is none or it is older; "-" means Go.
	Command string

	Memory  int64 // bytes; 0 means DefaultMemory
	Workers int   // cores; 0 means all

	// Count, if set, is called with the bytes of the file read so far, and their total, by
	// one goroutine at a time.
	Count func(done, total int64)
}

// Open decodes the streams in the first size bytes of r, which may be padded and
// concatenated. The caller must close the reader. It ends in io.EOF only if r was xz to
// its last byte and every check in it matched; bytes that it returns before an error may
// be wrong. When ctx ends, Read returns its cause.
func Open(ctx context.Context, r io.ReaderAt, size int64, o Options) io.ReadCloser {
	o.Memory = cmp.Or(o.Memory, DefaultMemory)
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	counted := r
	if o.Count != nil {
		counted = &progressReaderAt{r: r, total: size, count: o.Count}
	}
	serially := func(r io.ReaderAt) io.ReadCloser {
		return &serialReader{ctx, newReader(io.NewSectionReader(r, 0, size), o.dictionary())}
	}
	command := o.command(ctx)
	blocks, ok := findBlocks(r, size)
	side := ok && o.fitsParallel(blocks)
	batches := groupBlocks(blocks, o.Memory)
	switch {
	case command != "" && side && fitsCommand(batches, o.Memory):
		return readBlocks(ctx, newCommandDecoder(counted, command, batches, serially(r), o), batches, o)
	case command != "":
		return startCommand(ctx, command, io.NewSectionReader(counted, 0, size), serially(r), o)
	case side:
		return readBlocks(ctx, newLibraryDecoder(counted, o), oneBlockBatches(blocks), o)
	}
	return serially(counted)
}

// serialReader decodes a file from beginning to end, in Go, until ctx ends.
type serialReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (s *serialReader) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p)
}

// Close makes every later Read fail.
func (s *serialReader) Close() error {
	s.r = errReader{io.ErrClosedPipe}
	return nil
}

// errReader is a reader that fails with its error.
type errReader struct{ error }

// Read implements io.Reader.
func (e errReader) Read([]byte) (int, error) { return 0, e.error }

// dictionary returns the largest dictionary that a file may ask for, in bytes.
func (o Options) dictionary() uint32 { return uint32(min(o.Memory, 1<<32-1)) }

// smallBlock is the size below which a block is not worth decoding on its own, in
// bytes. xz(1) writes nothing while many blocks are smaller than its buffer.
const smallBlock = 64 << 10

// fitsParallel reports whether blocks are worth decoding in parallel and memory
// suffices for two of the largest. The last block may be small. A block that is much
// larger than its data was not written by xz(1), which stores such data uncompressed.
func (o Options) fitsParallel(blocks []blockInfo) bool {
	for i, b := range blocks {
		if b.padded() > b.size+b.size/64+4096 {
			return false
		}
		small := b.size < smallBlock && (i < len(blocks)-1 || b.size == 0)
		if small || b.memory() > o.Memory/2 {
			return false
		}
	}
	return len(blocks) > 1 && o.Workers > 1
}

// progressReaderAt reports the number of bytes read. Concurrent reads are counted in any
// order; each byte is read once.
type progressReaderAt struct {
	r     io.ReaderAt
	total int64
	count func(done, total int64)

	mu   sync.Mutex
	done int64
}

// ReadAt implements io.ReaderAt.
func (c *progressReaderAt) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(p, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += int64(n)
	c.count(c.done, c.total)
	return n, err
}
