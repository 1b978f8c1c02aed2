package run

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// feed is the standard input of a command that is written rather than read: an
// io.WriterTo, such as a stream of many megabytes. It goes straight into a pipe whose
// end here blocks. FreeBSD copies such a write once, from the writer's pages to the
// reader (sys/kern/sys_pipe.c, pipe_direct_write), and one to a pipe that does not
// block, as os/exec's, twice and in small pieces.
type feed struct {
	from   io.WriterTo
	theirs *os.File
	ours   *os.File
	err    chan error
}

// feedOf returns the feed that stdin is, or nil if the command reads stdin as it is.
func feedOf(stdin io.Reader) *feed {
	if _, ok := stdin.(*os.File); ok {
		return nil
	}
	if from, ok := stdin.(io.WriterTo); ok {
		return &feed{from: from, err: make(chan error, 1)}
	}
	return nil
}

// start starts cmd with the feed as its standard input.
func (f *feed) start(cmd *exec.Cmd) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	f.theirs, f.ours = os.NewFile(uintptr(fds[0]), "stdin"), os.NewFile(uintptr(fds[1]), "stdin")
	cmd.Stdin = f.theirs
	err := cmd.Start()
	f.theirs.Close() // so that a write fails once the command has ended
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

// wait waits for the command and for what is written to it. A command that ends before
// it has read everything says by its exit status whether that is a failure.
func (f *feed) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if written := <-f.err; err == nil && !errors.Is(written, syscall.EPIPE) {
		err = written
	}
	return err
}
