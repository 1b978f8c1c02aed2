package life

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/supervise"
)

// streams connect a command's input and output with an Exec.
type streams struct {
	theirs []*os.File                 // the command's ends
	ours   []*os.File                 // this process's ends
	in     func()                     // copies input until it ends
	out    []func()                   // copy output until it ends
	resize func(done <-chan struct{}) // sets the terminal's sizes; nil for pipes
	quiet  func() bool                // reports whether no output came since its last call; nil for pipes
}

func (s *streams) close() {
	s.closeTheirs()
	for _, f := range s.ours {
		f.Close()
	}
}

func (s *streams) closeTheirs() {
	for _, f := range s.theirs {
		f.Close()
	}
	s.theirs = nil
}

// run copies until the command has ended and its output is read.
func (s *streams) run(ctx context.Context, command *os.Process) (supervise.Exit, error) {
	ended := make(chan struct{})
	var out sync.WaitGroup
	for _, copy := range s.out {
		out.Go(copy)
	}
	go s.in() // not waited for: it ends when the caller ends the input
	if s.resize != nil {
		out.Go(func() { s.resize(ended) }) // waited for: it uses a file that is closed after run
	}
	kill := context.AfterFunc(ctx, func() {
		syscall.Kill(-command.Pid, syscall.SIGKILL)
		s.cut() // otherwise the command's last close of a terminal may wait for a reader
	})
	state, err := command.Wait()
	close(ended)
	killed := !kill()

	read := make(chan struct{})
	go func() {
		out.Wait()
		close(read)
	}()
	delivered := s.drained(ctx, read)
	switch {
	case killed:
		return supervise.Exit{}, context.Cause(ctx)
	case err != nil:
		return supervise.Exit{}, err
	case delivered != nil:
		return supervise.Exit{}, delivered
	}
	return supervise.ExitOf(state), nil
}

// drainTimeout bounds the wait for further output after a command has ended, if a process
// that it left behind keeps its output open.
const drainTimeout = time.Second

// terminalQuiet ends that wait sooner on a terminal, if no output comes for so long. All
// that the command wrote is in the terminal when it has ended; only other processes can
// write later.
const terminalQuiet = drainTimeout / 4

// drained waits until read is closed: all output is written to its reader, which may be
// slow. If other processes keep an output open, it waits no longer than drainTimeout for
// them to write more.
func (s *streams) drained(ctx context.Context, read <-chan struct{}) error {
	s.awaitMore(ctx, read)
	s.cut()
	select {
	case <-read:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-read:
		return nil
	case <-time.After(drainTimeout): // the reader hangs
		return context.Cause(ctx)
	}
}

// cut ends each output after the data that the kernel holds of it now, by a read deadline
// that is over.
func (s *streams) cut() {
	for _, f := range s.ours {
		f.SetReadDeadline(time.Unix(1, 0))
	}
}

// awaitMore waits for further output after the command's end. It returns when read is
// closed, ctx ends, drainTimeout is over, or a terminal is quiet.
func (s *streams) awaitMore(ctx context.Context, read <-chan struct{}) {
	enough := time.After(drainTimeout)
	if s.quiet != nil {
		s.quiet() // the first call only notes the state
	}
	for {
		select {
		case <-read:
			return
		case <-ctx.Done():
			return
		case <-enough:
			return
		case <-time.After(terminalQuiet):
			if s.quiet != nil && s.quiet() {
				return
			}
		}
	}
}

// pipes connects the command by three pipes.
func pipes(p *supervise.Process, e *Exec) (*streams, error) {
	s := &streams{}
	pair := func() (r, w *os.File, err error) {
		r, w, err = os.Pipe()
		if err != nil {
			s.close()
		}
		return r, w, err
	}
	inR, inW, err := pair()
	if err != nil {
		return nil, err
	}
	p.Stdin, s.theirs, s.ours = inR, append(s.theirs, inR), append(s.ours, inW)
	s.in = func() {
		if e.Stdin != nil {
			io.Copy(inW, e.Stdin)
		}
		inW.Close()
	}
	add := func(to io.Writer) (*os.File, error) {
		r, w, err := pair()
		if err != nil {
			return nil, err
		}
		s.theirs, s.ours = append(s.theirs, w), append(s.ours, r)
		o := &output{from: r, to: to}
		s.out = append(s.out, o.copy)
		return w, nil
	}
	if p.Stdout, err = add(e.Stdout); err != nil {
		return nil, err
	}
	if p.Stderr = p.Stdout; same(e.Stdout, e.Stderr) {
		return s, nil // one pipe, so that a shared writer has one goroutine writing to it
	}
	p.Stderr, err = add(e.Stderr)
	return s, err
}

// same reports whether a and b are the same writer.
func same(a, b io.Writer) bool {
	defer func() { recover() }() // a == b panics for types that are not comparable
	return a != nil && a == b
}

// terminal connects the command by a pseudo-terminal.
func terminal(p *supervise.Process, e *Exec) (*streams, error) {
	ptm, tty, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	if ptm, err = pollable(ptm); err != nil {
		tty.Close()
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	p.Stdin, p.Stdout, p.Stderr = tty, tty, tty
	s := &streams{theirs: []*os.File{tty}, ours: []*os.File{ptm}}
	s.in = func() {
		if e.Stdin != nil {
			io.Copy(ptm, e.Stdin)
		}
	}
	read := newAhead(ptm)
	o := &output{from: read, to: e.Stdout}
	s.out, s.quiet = []func(){read.run, o.copy}, o.quiet
	s.resize = func(done <-chan struct{}) {
		for {
			select {
			case <-done:
				return
			case size, ok := <-e.Resize:
				if !ok {
					return
				}
				setSize(ptm, size)
			}
		}
	}
	return s, nil
}

// pollable closes f and returns a copy of it whose reads end at their deadline. Package pty
// calls os.File.Fd, which makes the reads of a file block and ignore deadlines.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// setSize sets the terminal's size (TIOCSWINSZ, tty(4)). Errors are ignored: the command may
// have ended.
func setSize(terminal *os.File, size Size) {
	if c, err := terminal.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) {
			unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
		})
	}
}
