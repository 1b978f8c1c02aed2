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

// streams are this side of a command's input and output.
type streams struct {
	theirs []*os.File                 // the command's ends
	own    []*os.File                 // ours
	in     func()                     // copies input until it ends
	out    []func()                   // copy output until it ends
	resize func(done <-chan struct{}) // obeys sizes
	quiet  func() bool                // reports whether nothing came since it was last asked; nil where that ends nothing
}

func (s *streams) close() {
	s.closeTheirs()
	for _, f := range s.own {
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
	go s.in() // not waited for: whoever gave the input ends it
	if s.resize != nil {
		out.Go(func() { s.resize(ended) }) // uses a file that is closed after it
	}
	kill := context.AfterFunc(ctx, func() {
		syscall.Kill(-command.Pid, syscall.SIGKILL)
		s.cut() // the last close of a terminal may wait for a reader
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

// drainTimeout is how long output is still waited for when a command has ended
// and something that it left behind keeps its output open.
const drainTimeout = time.Second

// terminalQuiet ends the wait sooner on a terminal, which is its leader's alone: what
// the leader wrote is there when it has ended, and what others write comes later.
const terminalQuiet = drainTimeout / 4

// drained waits until read is closed: all output is with its reader, which may be slow. It
// waits no longer than is good for more to come, when something keeps an output open.
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
	case <-time.After(drainTimeout): // the reader hangs, and its caller wants no more
		return context.Cause(ctx)
	}
}

// cut has outputs end when what the kernel holds of them now is read.
func (s *streams) cut() {
	for _, f := range s.own {
		f.SetReadDeadline(time.Unix(1, 0))
	}
}

// awaitMore returns when nothing more will come, or no more is waited for.
func (s *streams) awaitMore(ctx context.Context, read <-chan struct{}) {
	enough := time.After(drainTimeout)
	if s.quiet != nil {
		s.quiet() // from now on
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
	p.Stdin, s.theirs, s.own = inR, append(s.theirs, inR), append(s.own, inW)
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
		s.theirs, s.own = append(s.theirs, w), append(s.own, r)
		o := &output{from: r, to: to}
		s.out = append(s.out, o.copy)
		return w, nil
	}
	if p.Stdout, err = add(e.Stdout); err != nil {
		return nil, err
	}
	if p.Stderr = p.Stdout; same(e.Stdout, e.Stderr) {
		return s, nil // one writer for both is written to by one at a time
	}
	p.Stderr, err = add(e.Stderr)
	return s, err
}

// same reports whether two writers are one.
func same(a, b io.Writer) bool {
	defer func() { recover() }() // of a kind that cannot be compared
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
	s := &streams{theirs: []*os.File{tty}, own: []*os.File{ptm}}
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

// pollable is f, which is closed, as a file whose reads end at their deadline: package
// pty asks for the descriptor's number, which has them block for good (os.File.Fd).
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

// setSize is tty(4)'s TIOCSWINSZ. A terminal whose command has ended has no size.
func setSize(terminal *os.File, size Size) {
	if c, err := terminal.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) {
			unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
		})
	}
}
