package xz

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// blockReader reads what is in the blocks of an .xz file, in their order, while others
// are being decoded ahead of it.
type blockReader struct {
	ctx     context.Context
	cancel  context.CancelFunc
	decoder blockDecoder
	order   chan chan decoded // of the batches, as many ahead as there are workers
	ended   chan struct{}     // nothing is at work any more

	mu  sync.Mutex // Close waits for a Read: what that reads may be unmapped then
	now decoded    // being read
	err error      // what every Read returns from now on
}

// blockDecoder decodes blocks: by a library, or by xz(1).
type blockDecoder interface {
	// decode decodes blocks that follow each other. It may be called at the same time
	// for others.
	decode(ctx context.Context, blocks batch) decoded

	// memory returns the bytes that decode takes for blocks, until they are read.
	memory(blocks batch) int64

	// explain returns what err of decode means.
	explain(err error) error

	// close is called when nothing is decoded or read any more. It may be called twice.
	close()
}

// batch are blocks that are decoded by one worker, one after the other.
type batch []part

// size returns the bytes that are in the blocks.
func (b batch) size() (n int64) {
	for _, block := range b {
		n += block.size
	}
	return n
}

// decoded is what is in a batch.
type decoded struct {
	io.Reader
	err  error
	free func() // when it was read
}

// readBlocks decodes batches side by side, within o.Memory.
func readBlocks(ctx context.Context, decoder blockDecoder, batches []batch, o Options) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	b := &blockReader{
		ctx: ctx, cancel: cancel, decoder: decoder,
		order: make(chan chan decoded, o.Workers-1), ended: make(chan struct{}),
	}
	go b.decodeAll(batches, o)
	return b
}

// decodeAll starts the decoding of one batch after the other, as soon as there is a
// worker and room for it.
func (b *blockReader) decodeAll(batches []batch, o Options) {
	defer close(b.ended)
	defer close(b.order)
	room, workers := semaphore.NewWeighted(o.Memory), semaphore.NewWeighted(int64(o.Workers))
	defer workers.Acquire(context.Background(), int64(o.Workers)) // all have ended
	for _, blocks := range batches {
		takes := b.decoder.memory(blocks)
		if room.Acquire(b.ctx, takes) != nil || workers.Acquire(b.ctx, 1) != nil {
			return
		}
		done := make(chan decoded, 1)
		go func() {
			defer workers.Release(1)
			d := b.decoder.decode(b.ctx, blocks)
			free := d.free
			d.free = func() {
				if free != nil {
					free()
				}
				room.Release(takes)
			}
			done <- d
		}()
		select {
		case b.order <- done:
		case <-b.ctx.Done():
			return
		}
	}
}

func (b *blockReader) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n == 0 && b.err == nil {
		if b.now.Reader != nil {
			if n, err = b.now.Read(p); err == nil {
				return n, nil
			}
		}
		if err == nil || err == io.EOF {
			err = b.next()
		}
		b.err, err = err, nil
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

// next waits for the next batch.
func (b *blockReader) next() error {
	if b.now.free != nil {
		b.now.free()
	}
	b.now = decoded{}
	done, more := <-b.order
	switch {
	case b.ctx.Err() != nil:
		return context.Cause(b.ctx)
	case !more:
		return io.EOF
	}
	if b.now = <-done; b.now.err == nil {
		return nil
	}
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	return b.decoder.explain(b.now.err)
}

// Close ends the decoding, and waits for that. It may be called twice.
func (b *blockReader) Close() error {
	b.cancel()
	<-b.ended
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decoder.close()
	b.err = cmpErr(b.err, io.ErrClosedPipe)
	return nil
}

// keep keeps what can be used again, if there is room.
func keep[T any](in chan T, x T) {
	select {
	case in <- x:
	default:
	}
}

func cmpErr(err, other error) error {
	if err == nil || err == io.EOF {
		return other
	}
	return err
}
