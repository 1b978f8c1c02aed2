package xz

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// blockReader reads the blocks of an .xz file in their order, while workers decode later
// ones ahead. Read and Close may be called concurrently.
type blockReader struct {
	ctx     context.Context
	cancel  context.CancelFunc
	decoder blockDecoder
	queue   chan chan decodedBatch // batches in order; its capacity bounds the read-ahead
	idle    chan struct{}          // closed when all workers have ended

	mu      sync.Mutex   // held by Read, so that Close does not unmap what it reads
	current decodedBatch // the batch being read
	err     error        // returned by every Read from now on
}

// blockDecoder decodes blocks, by a library or by xz(1).
type blockDecoder interface {
	// decode decodes adjacent blocks. It may be called concurrently.
	decode(ctx context.Context, blocks batch) decodedBatch

	// memory returns the bytes that the decoded blocks take until they are read.
	memory(blocks batch) int64

	// explain returns the error to report for an error of decode.
	explain(err error) error

	// close frees what the decoder holds. It is called after the last decode and Read, and
	// may be called twice.
	close()
}

// batch is a run of adjacent blocks that one worker decodes.
type batch []blockInfo

// size returns the bytes of the decoded blocks.
func (b batch) size() (n int64) {
	for _, block := range b {
		n += block.size
	}
	return n
}

// decodedBatch is the data of a batch, or the error of decoding it.
type decodedBatch struct {
	io.Reader
	err  error
	free func() // called when it has been read
}

// readBlocks returns a reader of batches, which decodes them in parallel, by at most
// o.Workers and within o.Memory. No batch may need more than o.Memory.
func readBlocks(ctx context.Context, decoder blockDecoder, batches []batch, o Options) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	b := &blockReader{
		ctx: ctx, cancel: cancel, decoder: decoder,
		queue: make(chan chan decodedBatch, o.Workers-1), idle: make(chan struct{}),
	}
	go b.decodeAll(batches, o)
	return b
}

// decodeAll starts to decode each batch as soon as a worker and memory for it are free.
// Batches get memory in their order, so the batch that Read waits for always has it.
func (b *blockReader) decodeAll(batches []batch, o Options) {
	defer close(b.idle)
	defer close(b.queue)
	room, workers := semaphore.NewWeighted(o.Memory), semaphore.NewWeighted(int64(o.Workers))
	defer workers.Acquire(context.Background(), int64(o.Workers)) // waits for all workers
	for _, blocks := range batches {
		takes := b.decoder.memory(blocks)
		if room.Acquire(b.ctx, takes) != nil || workers.Acquire(b.ctx, 1) != nil {
			return
		}
		done := make(chan decodedBatch, 1)
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
		case b.queue <- done:
		case <-b.ctx.Done():
			return
		}
	}
}

// Read implements io.Reader. Bytes before an error are returned without it.
func (b *blockReader) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n == 0 && b.err == nil {
		if b.current.Reader != nil {
			if n, err = b.current.Read(p); err == nil {
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

// next frees the batch that was read and waits for the next. It returns io.EOF after the
// last.
func (b *blockReader) next() error {
	if b.current.free != nil {
		b.current.free()
	}
	b.current = decodedBatch{}
	done, more := <-b.queue
	switch {
	case b.ctx.Err() != nil:
		return context.Cause(b.ctx)
	case !more:
		return io.EOF
	}
	if b.current = <-done; b.current.err == nil {
		return nil
	}
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	return b.decoder.explain(b.current.err)
}

// Close stops the decoding and waits for the workers. It may be called twice.
func (b *blockReader) Close() error {
	b.cancel()
	<-b.idle
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decoder.close()
	b.err = errorOr(b.err, io.ErrClosedPipe)
	return nil
}

// recycle puts x into in for reuse, or drops it if in is full.
func recycle[T any](in chan T, x T) {
	select {
	case in <- x:
	default:
	}
}

// errorOr returns err, or other if err is nil or io.EOF.
func errorOr(err, other error) error {
	if err == nil || err == io.EOF {
		return other
	}
	return err
}
