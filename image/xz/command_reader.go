package xz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// wholeReader reads what one xz(1) decodes, from the first byte of a file to the last.
type wholeReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	cmd    *exec.Cmd
	out    *pipeEnd
	fed    chan struct{} // closed when the command has all that it takes
	stderr limitedText
	again  io.Reader // decodes the same in Go, and knows what is wrong with it

	ending sync.Once
	ended  error // of the command
	err    error // what every Read returns from now on
}

// startCommand has one xz(1) decode r. Why that fails is for again to find out, which
// says the same of the same file, and more of it.
func startCommand(ctx context.Context, path string, r, again io.Reader, o Options) io.ReadCloser {
	w := &wholeReader{again: again, fed: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if err := w.start(path, r, o.Memory); err != nil {
		w.cancel()
		w.err = fmt.Errorf("start xz: %w", err)
		w.ending.Do(func() {})
	}
	return w
}

// start starts the command. After an error there is nothing to end.
func (w *wholeReader) start(path string, r io.Reader, memory int64) error {
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
	w.out, w.cmd = out, decoding(w.ctx, path, memory)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = stdin, stdout, &w.stderr
	if err := w.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return err
	}
	go func() {
		defer close(w.fed)
		defer in.Close()
		// When the command does not take it, it has ended, and that says why.
		_, _ = io.CopyBuffer(in, struct{ io.Reader }{r}, make([]byte, 256<<10))
	}()
	return nil
}

func (w *wholeReader) Read(p []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err = w.out.Read(p)
	if err == nil {
		return n, nil
	}
	w.err = w.end(err)
	return n, w.err
}

// end returns io.EOF when all was decoded, and was right; read is what the reading ended with.
func (w *wholeReader) end(read error) error {
	if read != io.EOF {
		w.cmd.Process.Kill() // it may wait for what it has decoded to be read
	}
	w.wait()
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.ended == nil && read == io.EOF:
		return io.EOF
	}
	if _, found := io.Copy(io.Discard, w.again); found != nil {
		return found
	}
	if w.ended == nil {
		return fmt.Errorf("read from xz: %w", read)
	}
	return commandError(w.ended, &w.stderr)
}

// wait waits for the command's end. It may be called twice.
func (w *wholeReader) wait() {
	w.ending.Do(func() {
		w.out.Close()
		w.ended = w.cmd.Wait()
		<-w.fed
	})
}

// Close ends the decoding, and waits for that. It may be called twice.
func (w *wholeReader) Close() error {
	w.cancel()
	w.wait()
	w.err = cmpErr(w.err, io.ErrClosedPipe)
	return nil
}

// commandError is an xz(1) that has failed, in its own words if it had any.
func commandError(ended error, stderr *limitedText) error {
	if said := stderr.lastLine(); said != "" {
		return errors.New("xz: " + said)
	}
	return fmt.Errorf("xz: %w", ended)
}
