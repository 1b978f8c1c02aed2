package image

import (
	"cmp"
	"context"
	"io"
	"runtime"
	"sync"
)

// DefaultDecoderMemory bounds, in bytes, what decoding an image takes.
const DefaultDecoderMemory = 256 << 20

// DecodeOptions say how an image is decoded. Nothing that a file claims of itself
// has more memory taken.
type DecodeOptions struct {
	// Command is xz(1), of 5.2.0 or newer. "" is the one in PATH, and Go where
	// that is older or there is none; "-" is Go.
	Command string

	Memory  int64 // bytes; 0 is DefaultDecoderMemory
	Workers int   // cores; 0 is all
	Count   Count // is told how much of the .xz has been read; may be nil
}

// Open reads the image, decoded, from its beginning. What it returns must be closed.
// All ways to decode accept the same files.
func (f *File) Open(ctx context.Context, o DecodeOptions) io.ReadCloser {
	o.Memory = cmp.Or(o.Memory, DefaultDecoderMemory)
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	var xz io.ReaderAt = f.xz
	if o.Count != nil {
		xz = &countedAt{r: xz, total: f.Bytes, count: o.Count}
	}
	serial := func(xz io.ReaderAt) io.ReadCloser {
		return &serialXZ{r: contextReader{ctx, newXZReader(io.NewSectionReader(xz, 0, f.Bytes), o.dictionary())}}
	}
	command := o.command(ctx)
	blocks, ok := splitXZ(f.xz, f.Bytes)
	switch side := ok && o.fits(blocks); {
	case command != "" && side:
		return startXZBlocks(ctx, command, xz, blocks, serial(f.xz), o)
	case command != "":
		return startXZ(ctx, command, io.NewSectionReader(xz, 0, f.Bytes), serial(f.xz), o)
	case side:
		return decodeBlocks(ctx, xz, blocks, o)
	}
	return serial(xz)
}

// serialXZ is the reader for what is not to be had in parts.
type serialXZ struct{ r io.Reader }

func (s *serialXZ) Read(p []byte) (int, error) { return s.r.Read(p) }

// Close has no more be read.
func (s *serialXZ) Close() error {
	s.r = errReader{io.ErrClosedPipe}
	return nil
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }

// dictionary is the largest that may be asked for.
func (o DecodeOptions) dictionary() uint32 { return uint32(min(o.Memory, 1<<32-1)) }

// smallBlock is what is not worth to be decoded on its own, in bytes. Nor could it be: of
// many that are smaller than its buffer xz(1) writes nothing.
const smallBlock = 64 << 10

// fits tells whether blocks are worth to be decoded side by side, and there is room
// for two of the largest. The last one is as large as it is.
func (o DecodeOptions) fits(blocks []xzPart) bool {
	for i, b := range blocks {
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
	count Count

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
