package xz

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/semaphore"
)

// blockReader gives what is in the blocks of an .xz file, in their order, while
// others are being decoded ahead of it.
type blockReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	order  chan chan decodedBlock // of the blocks, as many ahead as cores are at work
	ended  chan struct{}          // nothing is at work any more

	block decodedBlock // being given
	given int          // of its bytes
	err   error        // what every Read returns from now on
}

// decodedBlock is what is in a block.
type decodedBlock struct {
	bytes []byte
	err   error
	free  func() // when the bytes are not needed any more
}

// decodeBlocks decodes blocks, for two of the largest of which there is room.
func decodeBlocks(ctx context.Context, r io.ReaderAt, blocks []part, o Options) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	b := &blockReader{ctx: ctx, cancel: cancel, order: make(chan chan decodedBlock), ended: make(chan struct{})}
	go b.decodeAll(r, blocks, o)
	return b
}

// decodeAll starts the decoding of one block after the other, as soon as there is a
// core and room for it.
func (b *blockReader) decodeAll(r io.ReaderAt, blocks []part, o Options) {
	defer close(b.ended)
	defer close(b.order)
	room, cores := semaphore.NewWeighted(o.Memory), semaphore.NewWeighted(int64(o.Workers))
	defer cores.Acquire(context.Background(), int64(o.Workers)) // all have ended
	decoders := make(chan *reader, o.Workers)                   // that have a dictionary already
	buffers := make(chan []byte, o.Workers+1)
	for _, block := range blocks {
		if room.Acquire(b.ctx, block.memory()) != nil || cores.Acquire(b.ctx, 1) != nil {
			return
		}
		done := make(chan decodedBlock, 1)
		go func() {
			defer cores.Release(1)
			buffer := buffered(buffers, block.size)
			err := block.decode(r, decoders, buffer, o.dictionary())
			done <- decodedBlock{buffer, err, func() {
				room.Release(block.memory())
				keep(buffers, buffer)
			}}
		}()
		select {
		case b.order <- done:
		case <-b.ctx.Done():
			return
		}
	}
}

// decode fills buffer with what is in the block.
func (b part) decode(r io.ReaderAt, decoders chan *reader, buffer []byte, dictionary uint32) error {
	var x *reader
	select {
	case x = <-decoders:
		x.again(b.alone(r))
	default:
		x = newReader(b.alone(r), dictionary)
	}
	if _, err := io.ReadFull(x, buffer); err != nil {
		return whole(err)
	}
	if n, err := x.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return cmpErr(err, errors.New("xz: data is corrupt"))
	}
	keep(decoders, x)
	return nil
}

// whole is err of a block, which is never over before its bytes are there.
func whole(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("xz: data is corrupt: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func cmpErr(err, other error) error {
	if err == nil || err == io.EOF {
		return other
	}
	return err
}

// keep keeps what can be used again, if there is room.
func keep[T any](in chan T, x T) {
	select {
	case in <- x:
	default:
	}
}

// buffered is a buffer of that size, one that was used before if it is large enough.
func buffered(from chan []byte, size int64) []byte {
	select {
	case b := <-from:
		if int64(cap(b)) >= size {
			return b[:size]
		}
	default:
	}
	return make([]byte, size)
}

func (b *blockReader) Read(p []byte) (n int, err error) {
	for b.err == nil && b.given == len(b.block.bytes) {
		b.err = b.next()
	}
	if b.err != nil {
		return 0, b.err
	}
	n = copy(p, b.block.bytes[b.given:])
	b.given += n
	return n, nil
}

// next waits for the next block.
func (b *blockReader) next() error {
	if b.block.free != nil {
		b.block.free()
	}
	b.block, b.given = decodedBlock{}, 0
	done, more := <-b.order
	switch {
	case b.ctx.Err() != nil:
		return context.Cause(b.ctx)
	case !more:
		return io.EOF
	}
	b.block = <-done
	return b.block.err
}

// Close ends the decoding, and waits for that.
func (b *blockReader) Close() error {
	b.cancel()
	<-b.ended
	b.err = cmpErr(b.err, io.ErrClosedPipe)
	return nil
}
