package xz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// worker is an xz(1) that decodes streams that follow each other, and what it has
// decoded ahead of who reads it.
type worker struct {
	cmd     *exec.Cmd
	in, out *pipeEnd
	streams chan io.Reader // to be decoded, in order; closed at the end
	closing sync.Once      // of streams
	blocks  []part         // that are being decoded; of the first, size is what is to come
	ahead   int64          // bytes that the others have been given as
	pieces  chan []byte    // of what was, in order, each of one block; closed at the end
	free    chan []byte    // pieces to be used again
	stderr  limitedText
	err     error // how it ended; not to be read before pieces is closed
}

// pieceBytes is what is taken from a worker at once, at most.
const pieceBytes = 1 << 20

// fedAhead is how much more than the block that is taken from it a worker is given, in
// bytes: xz(1) decodes nothing until its buffer is full of input, and writes nothing
// until another is full of output (8 KiB each).
const fedAhead = 256 << 10

// newWorker has room for that many bytes that wait to be read.
func newWorker(ahead int64) *worker {
	n := max(1, ahead/pieceBytes)
	return &worker{
		streams: make(chan io.Reader, fedAhead/headerBytes), // whatever the sizes of blocks are
		pieces:  make(chan []byte, n),
		free:    make(chan []byte, n+2), // one is being filled, and one given
	}
}

// start starts the command. After an error there is nothing to run.
func (w *worker) start(ctx context.Context, path string, memory int64) error {
	in, stdin, err := writePipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	out, stdout, err := readPipe()
	if err != nil {
		in.Close()
		return err
	}
	defer stdout.Close()
	w.cmd = decoding(ctx, path, memory)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = stdin, stdout, &w.stderr
	if err := w.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return fmt.Errorf("start xz: %w", err)
	}
	w.in, w.out = in, out
	return nil
}

// run has the command decode something, and waits for its end.
func (w *worker) run(ctx context.Context, decode func(context.Context) error) {
	defer close(w.pieces)
	var feeding sync.WaitGroup
	feeding.Go(w.feed)
	err := decode(ctx)
	w.noMore()
	if err != nil {
		w.cmd.Process.Kill() // it may wait for what it has decoded to be read
	}
	w.out.Close()
	ended := w.cmd.Wait()
	feeding.Wait()
	switch said := w.stderr.lastLine(); {
	case ctx.Err() != nil:
		w.err = context.Cause(ctx)
	case ended != nil && said != "":
		w.err = fmt.Errorf("xz: %s", said)
	case err != nil:
		w.err = err
	case ended != nil:
		w.err = fmt.Errorf("xz: %w", ended)
	}
}

// feed gives the command the streams. When it does not take them it has ended, and
// that tells why.
func (w *worker) feed() {
	buffer := make([]byte, 256<<10)
	var failed error
	for s := range w.streams {
		if failed == nil {
			_, failed = io.CopyBuffer(w.in, s, buffer)
		}
	}
	w.in.Close()
}

// decodeFile decodes one stream or more, whatever is in them.
func (w *worker) decodeFile(ctx context.Context, r io.Reader) error {
	w.streams <- r
	w.noMore()
	for {
		piece := buffered(w.free, pieceBytes)
		n, err := io.ReadFull(w.out, piece)
		if n > 0 {
			if err := w.give(ctx, piece[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("read from xz: %w", err)
		}
	}
}

// add gives the command a block to decode.
func (w *worker) add(r io.ReaderAt, b part) {
	if len(w.blocks) > 0 {
		w.ahead += b.padded()
	}
	w.streams <- b.alone(r)
	w.blocks = append(w.blocks, b)
}

// decodeBlocks decodes what was added, and has more of that added as long as more
// does so.
func (w *worker) decodeBlocks(ctx context.Context, more func(*worker) bool) error {
	for len(w.blocks) > 0 {
		for w.ahead < fedAhead && len(w.streams) < cap(w.streams) {
			if !more(w) {
				w.noMore()
				break
			}
		}
		piece := buffered(w.free, min(w.blocks[0].size, pieceBytes))
		if _, err := io.ReadFull(w.out, piece); err != nil {
			return whole(err)
		}
		if err := w.give(ctx, piece); err != nil {
			return err
		}
		if w.blocks[0].size -= int64(len(piece)); w.blocks[0].size > 0 {
			continue
		}
		if w.blocks = w.blocks[1:]; len(w.blocks) > 0 {
			w.ahead -= w.blocks[0].padded()
		}
	}
	if n, err := w.out.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return cmpErr(err, errors.New("xz: data is corrupt"))
	}
	return nil
}

// noMore ends the command's input. It may be called twice.
func (w *worker) noMore() { w.closing.Do(func() { close(w.streams) }) }

// give has a piece be read.
func (w *worker) give(ctx context.Context, piece []byte) error {
	select {
	case w.pieces <- piece:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
