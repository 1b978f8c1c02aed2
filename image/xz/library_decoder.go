package xz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// libraryDecoder decodes blocks in Go.
type libraryDecoder struct {
	r          io.ReaderAt // the file
	dictionary uint32      // bytes, the largest that may be asked for
	readers    chan *reader
	buffers    chan []byte
}

func newLibraryDecoder(r io.ReaderAt, o Options) *libraryDecoder {
	return &libraryDecoder{r, o.dictionary(), make(chan *reader, o.Workers), make(chan []byte, o.Workers+1)}
}

// separately has each block be a batch of its own.
func separately(blocks []part) []batch {
	all := make([]batch, len(blocks))
	for i := range blocks {
		all[i] = blocks[i : i+1]
	}
	return all
}

func (d *libraryDecoder) memory(b batch) int64 { return b[0].memory() }

func (d *libraryDecoder) explain(err error) error { return err }

func (d *libraryDecoder) close() {}

func (d *libraryDecoder) decode(_ context.Context, b batch) decoded {
	buffer := d.buffer(b[0].size)
	if err := d.fill(buffer, b[0]); err != nil {
		return decoded{err: err}
	}
	return decoded{Reader: bytes.NewReader(buffer), free: func() { keep(d.buffers, buffer) }}
}

// buffer returns a buffer of that size, a used one if it is large enough.
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

// fill fills buffer with what is in the block.
func (d *libraryDecoder) fill(buffer []byte, b part) error {
	var x *reader
	select {
	case x = <-d.readers:
		x.again(b.alone(d.r))
	default:
		x = newReader(b.alone(d.r), d.dictionary)
	}
	if _, err := io.ReadFull(x, buffer); err != nil {
		return whole(err)
	}
	if n, err := x.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return cmpErr(err, errCorrupt)
	}
	keep(d.readers, x)
	return nil
}

var errCorrupt = errors.New("xz: data is corrupt")

// whole returns err of a block, which is never over before its bytes are there.
func whole(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errCorrupt, io.ErrUnexpectedEOF)
	}
	return err
}
