package xz

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
)

// decoder has one xz(1) decode a file, or several its blocks: each takes the next
// when it is about to be done with one, as a stream that follows those it had. An xz
// that decodes on several cores by itself has all that it decodes copied once more.
type decoder struct {
	ctx     context.Context
	cancel  context.CancelFunc
	again   io.Reader // decodes the same, and knows what is wrong with it
	workers []*worker
	ended   sync.WaitGroup // of workers

	file    io.ReaderAt
	taking  sync.Mutex
	blocks  []part    // that nobody has taken
	order   chan turn // of who took them; closed when all workers have ended
	working int

	turn  turn   // whose pieces are given; of its bytes those that are to come
	piece []byte // being given
	given int    // of its bytes
	err   error  // what every Read returns from now on
}

// turn is how much is to come from a worker before it is another's turn, in bytes;
// -1 is all that it has.
type turn struct {
	*worker
	left int64
}

// startCommand has one xz(1) decode r. Why it fails is for again to find out, which says the
// same of the same file, and more of it.
func startCommand(ctx context.Context, path string, r, again io.Reader, o Options) io.ReadCloser {
	x := newDecoder(ctx, again, 1)
	return x.start(path, 1, 4*pieceBytes, o.Memory, func(w *worker) func(context.Context) error {
		x.order <- turn{w, -1}
		return func(ctx context.Context) error { return w.decodeFile(ctx, r) }
	})
}

// startBlocks has several decode blocks, for two of the largest of which there is
// room.
func startBlocks(ctx context.Context, path string, r io.ReaderAt, blocks []part, again io.Reader, o Options) io.ReadCloser {
	x := newDecoder(ctx, again, len(blocks))
	x.file, x.blocks = r, blocks
	workers, ahead := o.share(blocks)
	return x.start(path, workers, ahead, o.Memory, func(w *worker) func(context.Context) error {
		x.take(w) // nothing at all is no xz
		return func(ctx context.Context) error { return w.decodeBlocks(ctx, x.take) }
	})
}

// share is how many blocks are decoded at once, and how much that was decoded may wait
// for each of those, in bytes: two blocks, if there is room.
func (o Options) share(blocks []part) (workers int, ahead int64) {
	largest := slices.MaxFunc(blocks, func(a, b part) int { return cmp.Compare(a.memory(), b.memory()) })
	workers = int(min(int64(o.Workers), int64(len(blocks)), o.Memory/max(largest.memory(), 1)))
	return workers, min(2*largest.size, o.Memory/int64(workers)-largest.dictionary)
}

func newDecoder(ctx context.Context, again io.Reader, turns int) *decoder {
	x := &decoder{again: again, order: make(chan turn, turns)}
	x.ctx, x.cancel = context.WithCancel(ctx)
	return x
}

// start has as many workers decode what is shared out to each.
func (x *decoder) start(path string, workers int, ahead, memory int64, share func(*worker) func(context.Context) error) *decoder {
	var decode []func(context.Context) error
	for range workers {
		w := newWorker(ahead)
		if x.err = w.start(x.ctx, path, memory); x.err != nil {
			x.cancel()
			break
		}
		x.workers, decode = append(x.workers, w), append(decode, share(w))
	}
	x.working = len(x.workers)
	for i, w := range x.workers {
		x.ended.Go(func() {
			w.run(x.ctx, decode[i])
			x.leave()
		})
	}
	return x
}

// take has w decode the next block; false if there are no more.
func (x *decoder) take(w *worker) bool {
	x.taking.Lock()
	defer x.taking.Unlock()
	if len(x.blocks) == 0 {
		return false
	}
	b := x.blocks[0]
	x.blocks = x.blocks[1:]
	x.order <- turn{w, b.size}
	w.add(x.file, b)
	return true
}

// leave is that a worker has ended.
func (x *decoder) leave() {
	x.taking.Lock()
	defer x.taking.Unlock()
	if x.working--; x.working == 0 {
		close(x.order)
	}
}

func (x *decoder) Read(p []byte) (n int, err error) {
	for x.err == nil && x.given == len(x.piece) {
		x.err = x.next()
	}
	if x.err != nil {
		return 0, x.err
	}
	n = copy(p, x.piece[x.given:])
	x.given += n
	return n, nil
}

// next waits for the next piece.
func (x *decoder) next() error {
	if x.piece != nil {
		keep(x.turn.free, x.piece)
		x.piece, x.given = nil, 0
	}
	more := true
	for x.turn.left == 0 && more {
		x.turn, more = <-x.order
	}
	if more {
		x.piece, more = <-x.turn.pieces
	}
	if !more {
		return x.end()
	}
	if x.turn.left > 0 {
		x.turn.left -= int64(len(x.piece))
	}
	return nil
}

// end is io.EOF when all has been decoded, and was right.
func (x *decoder) end() error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	x.cancel() // one that has failed is not waited for by the others
	x.ended.Wait()
	for _, w := range x.workers {
		if w.err == nil || errors.Is(w.err, context.Canceled) {
			continue
		}
		if _, found := io.Copy(io.Discard, x.again); found != nil {
			return found
		}
		return w.err
	}
	if x.turn.left > 0 || len(x.blocks) > 0 {
		return whole(io.EOF)
	}
	return io.EOF
}

// Close ends the decoding, and waits for that. It may be called twice.
func (x *decoder) Close() error {
	x.cancel()
	x.ended.Wait()
	x.err = cmpErr(x.err, io.ErrClosedPipe)
	return nil
}
