package xz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// commandReader is the output of one xz(1) that decodes a file from beginning to end. Close
// must not be called during a Read.
type commandReader struct {
	ctx       context.Context
	cancel    context.CancelFunc
	cmd       *exec.Cmd
	out       *pipeEnd
	inputDone chan struct{} // closed when all input is written, or the command takes no more
	stderr    stderrText
	serial    io.Reader // decodes the same file in Go, for its better error messages

	waitOnce sync.Once
	exitErr  error // of the command's exit
	err      error // returned by every Read from now on
}

// startCommand decodes r by one xz(1). If that fails, Read decodes again in Go and returns
// that error, which is more precise and does not depend on the version of xz(1). The caller
// must close the reader.
func startCommand(ctx context.Context, path string, r, again io.Reader, o Options) io.ReadCloser {
	w := &commandReader{serial: again, inputDone: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if err := w.start(path, r, o.Memory); err != nil {
		w.cancel()
		w.err = fmt.Errorf("start xz: %w", err)
		w.waitOnce.Do(func() {})
	}
	return w
}

// start starts the command. After an error there is nothing to stop.
func (w *commandReader) start(path string, r io.Reader, memory int64) error {
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
	w.out, w.cmd = out, decodeCommand(w.ctx, path, memory)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = stdin, stdout, &w.stderr
	if err := w.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return err
	}
	go func() {
		defer close(w.inputDone)
		defer in.Close()
		// A write fails if the command has exited: its exit status says why.
		_, _ = io.CopyBuffer(in, struct{ io.Reader }{r}, make([]byte, 256<<10))
	}()
	return nil
}

// Read implements io.Reader. It returns io.EOF only after xz(1) has exited with status 0.
func (w *commandReader) Read(p []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err = w.out.Read(p)
	if err == nil {
		return n, nil
	}
	w.err = w.finish(err)
	return n, w.err
}

// finish returns io.EOF if all was decoded without an error; read is the error that
// reading ended with.
func (w *commandReader) finish(read error) error {
	if read != io.EOF {
		w.cmd.Process.Kill() // it may be blocked writing its output
	}
	w.wait()
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.exitErr == nil && read == io.EOF:
		return io.EOF
	}
	if _, found := io.Copy(io.Discard, w.serial); found != nil {
		return found
	}
	if w.exitErr == nil {
		return fmt.Errorf("read from xz: %w", read)
	}
	return commandError(w.exitErr, &w.stderr)
}

// wait waits for the command to exit. It may be called twice.
func (w *commandReader) wait() {
	w.waitOnce.Do(func() {
		w.out.Close()
		w.exitErr = w.cmd.Wait()
		<-w.inputDone
	})
}

// Close stops the decoding and waits for it. It may be called twice.
func (w *commandReader) Close() error {
	w.cancel()
	w.wait()
	w.err = errorOr(w.err, io.ErrClosedPipe)
	return nil
}

// commandError returns the error of a failed xz(1), in its own words if it printed any.
func commandError(ended error, stderr *stderrText) error {
	if said := stderr.lastLine(); said != "" {
		return errors.New("xz: " + said)
	}
	return fmt.Errorf("xz: %w", ended)
}
