package run

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// stdinPipe is the standard input of a command whose stdin is an io.WriterTo, such as a
// stream of many megabytes. It writes to a pipe whose end here blocks. FreeBSD copies a
// blocking write once, from the writer's pages to the reader (sys/kern/sys_pipe.c,
// pipe_direct_write), but a write to a non-blocking pipe, as os/exec's, twice and in small
// pieces.
type stdinPipe struct {
	from   io.WriterTo
	theirs *os.File
	ours   *os.File
	err    chan error
}

// newStdinPipe returns the pipe for stdin, or nil if the command reads stdin directly.
func newStdinPipe(stdin io.Reader) *stdinPipe {
	if _, ok := stdin.(*os.File); ok {
		return nil
	}
	if from, ok := stdin.(io.WriterTo); ok {
		return &stdinPipe{from: from, err: make(chan error, 1)}
	}
	return nil
}

// start starts cmd with the pipe as its standard input.
func (f *stdinPipe) start(cmd *exec.Cmd) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	f.theirs, f.ours = os.NewFile(uintptr(fds[0]), "stdin"), os.NewFile(uintptr(fds[1]), "stdin")
	cmd.Stdin = f.theirs
	err := cmd.Start()
	f.theirs.Close() // so that writes fail once the command has ended
	if err != nil {
		f.ours.Close()
		return err
	}
	go func() {
		_, err := f.from.WriteTo(f.ours)
		f.err <- errors.Join(err, f.ours.Close())
	}()
	return nil
}

// wait waits for the command and for the writer. EPIPE is ignored: the exit status of a
// command that did not read everything says whether that is a failure.
func (f *stdinPipe) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if written := <-f.err; err == nil && !errors.Is(written, syscall.EPIPE) {
		err = written
	}
	return err
}
