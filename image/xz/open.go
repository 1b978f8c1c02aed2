// Package xz reads and writes xz files (The .xz File Format, 1.2.1), on several cores:
// by the system's xz(1) where there is one, else by libraries. Files are anybody's: no
// size in them is believed, and what memory they may take is bounded.
package xz

import (
	"cmp"
	"context"
	"io"
	"runtime"
	"sync"
)

// DefaultMemory bounds, in bytes, what decoding a file takes.
const DefaultMemory = 256 << 20

// Options say how a file is decoded. Nothing that a file claims of itself
// has more memory taken.
type Options struct {
	// Command is xz(1), of 5.2.0 or newer. "" is the one in PATH, and Go where
	// that is older or there is none; "-" is Go.
	Command string

	Memory  int64 // bytes; 0 is DefaultMemory
	Workers int   // cores; 0 is all
	// Count is told how many bytes of the file have been read, and how many it has; it
	// may be nil.
	Count func(done, total int64)
}

// Open decodes the streams in the first size bytes of r, which may be padded and follow
// each other. What it returns must be closed, and ends in io.EOF only when r was xz to
// its last byte and every check in it was right. All ways to decode accept the same.
func Open(ctx context.Context, r io.ReaderAt, size int64, o Options) io.ReadCloser {
	o.Memory = cmp.Or(o.Memory, DefaultMemory)
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	counted := r
	if o.Count != nil {
		counted = &countedAt{r: r, total: size, count: o.Count}
	}
	serially := func(r io.ReaderAt) io.ReadCloser {
		return &serial{ctx, newReader(io.NewSectionReader(r, 0, size), o.dictionary())}
	}
	command := o.command(ctx)
	blocks, ok := split(r, size)
	side := ok && o.fits(blocks)
	batches := together(blocks, o.Memory)
	switch {
	case command != "" && side && fitsFiles(batches, o.Memory):
		return readBlocks(ctx, newCommandDecoder(counted, command, batches, serially(r), o), batches, o)
	case command != "":
		return startCommand(ctx, command, io.NewSectionReader(counted, 0, size), serially(r), o)
	case side:
		return readBlocks(ctx, newLibraryDecoder(counted, o), separately(blocks), o)
	}
	return serially(counted)
}

// serial decodes from the first byte to the last.
type serial struct {
	ctx context.Context
	r   io.Reader
}

func (s *serial) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p)
}

// Close has no more be read.
func (s *serial) Close() error {
	s.r = errReader{io.ErrClosedPipe}
	return nil
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }

// dictionary is the largest that may be asked for.
func (o Options) dictionary() uint32 { return uint32(min(o.Memory, 1<<32-1)) }

// smallBlock is what is not worth to be decoded on its own, in bytes. Nor could it be: of
// many that are smaller than its buffer xz(1) writes nothing.
const smallBlock = 64 << 10

// fits tells whether blocks are worth to be decoded side by side, and there is room
// for two of the largest. The last one is as large as it is. One that is much larger
// than what is in it was not written by xz(1), which then takes what is in it as it is.
func (o Options) fits(blocks []part) bool {
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

// countedAt tells of what is read, which may be in any order, but only once.
type countedAt struct {
	r     io.ReaderAt
	total int64
	count func(done, total int64)

	mu   sync.Mutex
	done int64
}

func (c *countedAt) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(p, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += int64(n)
	c.count(c.done, c.total)
	return n, err
}
