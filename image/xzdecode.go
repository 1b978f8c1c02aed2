package image

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
)

// xzDecoder has one xz(1) decode a file, or several its blocks: each takes the next
// when it is about to be done with one, as a stream that follows those it had. An xz
// that decodes on several cores by itself has all that it decodes copied once more.
type xzDecoder struct {
	ctx     context.Context
	cancel  context.CancelFunc
	again   io.Reader // decodes the same, and knows what is wrong with it
	workers []*xzWorker
	ended   sync.WaitGroup // of workers

	file    io.ReaderAt
	taking  sync.Mutex
	blocks  []xzPart    // that nobody has taken
	order   chan xzTurn // of who took them; closed when all workers have ended
	working int

	turn  xzTurn // whose pieces are given; of its bytes those that are to come
	piece []byte // being given
	given int    // of its bytes
	err   error  // what every Read returns from now on
}

// xzTurn is how much is to come from a worker before it is another's turn, in bytes;
// -1 is all that it has.
type xzTurn struct {
	*xzWorker
	left int64
}

// startXZ has one xz(1) decode r. Why it fails is for again to find out, which says the
// same of the same file, and more of it.
func startXZ(ctx context.Context, path string, r, again io.Reader, o DecodeOptions) io.ReadCloser {
	x := newXZDecoder(ctx, again, 1)
	return x.start(path, 1, 4*pieceBytes, o.Memory, func(w *xzWorker) func(context.Context) error {
		x.order <- xzTurn{w, -1}
		return func(ctx context.Context) error { return w.decodeFile(ctx, r) }
	})
}

// startXZBlocks has several decode blocks, for two of the largest of which there is
// room.
func startXZBlocks(ctx context.Context, path string, r io.ReaderAt, blocks []xzPart, again io.Reader, o DecodeOptions) io.ReadCloser {
	x := newXZDecoder(ctx, again, len(blocks))
	x.file, x.blocks = r, blocks
	workers, ahead := o.share(blocks)
	return x.start(path, workers, ahead, o.Memory, func(w *xzWorker) func(context.Context) error {
		x.take(w) // nothing at all is no xz
		return func(ctx context.Context) error { return w.decodeBlocks(ctx, x.take) }
	})
}

// share is how many blocks are decoded at once, and how much that was decoded may wait
// for each of those, in bytes: two blocks, if there is room.
func (o DecodeOptions) share(blocks []xzPart) (workers int, ahead int64) {
	largest := slices.MaxFunc(blocks, func(a, b xzPart) int { return cmp.Compare(a.memory(), b.memory()) })
	workers = int(min(int64(o.Workers), int64(len(blocks)), o.Memory/max(largest.memory(), 1)))
	return workers, min(2*largest.size, o.Memory/int64(workers)-largest.dictionary)
}

func newXZDecoder(ctx context.Context, again io.Reader, turns int) *xzDecoder {
	x := &xzDecoder{again: again, order: make(chan xzTurn, turns)}
	x.ctx, x.cancel = context.WithCancel(ctx)
	return x
}

// start has as many workers decode what is shared out to each.
func (x *xzDecoder) start(path string, workers int, ahead, memory int64, share func(*xzWorker) func(context.Context) error) *xzDecoder {
	var decode []func(context.Context) error
	for range workers {
		w := newXZWorker(ahead)
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
func (x *xzDecoder) take(w *xzWorker) bool {
	x.taking.Lock()
	defer x.taking.Unlock()
	if len(x.blocks) == 0 {
		return false
	}
	b := x.blocks[0]
	x.blocks = x.blocks[1:]
	x.order <- xzTurn{w, b.size}
	w.add(x.file, b)
	return true
}

// leave is that a worker has ended.
func (x *xzDecoder) leave() {
	x.taking.Lock()
	defer x.taking.Unlock()
	if x.working--; x.working == 0 {
		close(x.order)
	}
}

func (x *xzDecoder) Read(p []byte) (n int, err error) {
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
func (x *xzDecoder) next() error {
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
func (x *xzDecoder) end() error {
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
func (x *xzDecoder) Close() error {
	x.cancel()
	x.ended.Wait()
	x.err = cmpErr(x.err, io.ErrClosedPipe)
	return nil
}
