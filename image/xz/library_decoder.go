package xz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// libraryDecoder decodes blocks in Go, each into a buffer of its size. It implements
// blockDecoder.
type libraryDecoder struct {
	r          io.ReaderAt  // the file
	dictionary uint32       // bytes; the largest that a block may ask for
	readers    chan *reader // idle, for reuse
	buffers    chan []byte  // idle, for reuse
}

func newLibraryDecoder(r io.ReaderAt, o Options) *libraryDecoder {
	return &libraryDecoder{r, o.dictionary(), make(chan *reader, o.Workers), make(chan []byte, o.Workers+1)}
}

// oneBlockBatches returns each block as a batch.
func oneBlockBatches(blocks []blockInfo) []batch {
	all := make([]batch, len(blocks))
	for i := range blocks {
		all[i] = blocks[i : i+1]
	}
	return all
}

func (d *libraryDecoder) memory(b batch) int64 { return b[0].memory() }

func (d *libraryDecoder) explain(err error) error { return err }

func (d *libraryDecoder) close() {}

func (d *libraryDecoder) decode(_ context.Context, b batch) decodedBatch {
	buffer := d.buffer(b[0].size)
	if err := d.fill(buffer, b[0]); err != nil {
		return decodedBatch{err: err}
	}
	return decodedBatch{Reader: bytes.NewReader(buffer), free: func() { recycle(d.buffers, buffer) }}
}

// buffer returns a buffer of size bytes, an idle one if it is large enough.
func (d *libraryDecoder) buffer(size int64) []byte {
	select {
	case b := <-d.buffers:
		if int64(cap(b)) >= size {
			return b[:size]
		}
	default:
	}
	return make([]byte, size)
}

// fill decodes the block into buffer, which has the size that the index claims. A block that
// has less or more is corrupt.
func (d *libraryDecoder) fill(buffer []byte, b blockInfo) error {
	var x *reader
	select {
	case x = <-d.readers:
		x.reset(b.asStream(d.r))
	default:
		x = newReader(b.asStream(d.r), d.dictionary)
	}
	if _, err := io.ReadFull(x, buffer); err != nil {
		return truncated(err)
	}
	if n, err := x.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return errorOr(err, errCorrupt)
	}
	recycle(d.readers, x)
	return nil
}

var errCorrupt = errors.New("xz: data is corrupt")

// truncated returns err, with an early end of a block marked as corrupt data.
func truncated(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errCorrupt, io.ErrUnexpectedEOF)
	}
	return err
}
