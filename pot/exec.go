package pot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/supervise"
)

// Exec is one more command in a pot that runs.
type Exec struct {
	Argv    []string
	Env     []string // as of Start
	User    string   // as in Spec
	WorkDir string

	Stdin          io.Reader // nil is nothing to read
	Stdout, Stderr io.Writer // nil is thrown away; may be the same

	// Terminal gives the command a terminal: Stdout then has both outputs,
	// and Resize, until it is closed, the terminal's sizes.
	Terminal bool
	Resize   <-chan Size
}

// Size is a terminal's.
type Size struct{ Rows, Cols uint16 }

// drainWithin is how long output is still waited for when a command has ended
// and something that it left behind keeps its output open.
const drainWithin = time.Second

// terminalQuiet ends the wait sooner on a terminal, which is its leader's alone: what
// the leader wrote is there when it has ended, and what others write comes later.
const terminalQuiet = drainWithin / 4

// Exec runs a command in the pot and waits for its end. When ctx ends first,
// the command is killed with its process group, and ctx's error returned. A
// command that ends with a code other than 0 is no error.
func (p *Pot) Exec(ctx context.Context, e Exec) (supervise.Exit, error) {
	process, err := p.process(ctx, e)
	if err != nil {
		return supervise.Exit{}, err
	}
	streams := pipes
	if e.Terminal {
		streams = terminal
	}
	ours, err := streams(process, &e)
	if err != nil {
		return supervise.Exit{}, err
	}
	defer ours.close()
	started, err := process.Start()
	ours.closeTheirs()
	if err != nil {
		return supervise.Exit{}, err
	}
	return ours.run(ctx, started)
}

// Spawn runs a command in the pot that goes on when this process ends. It has nothing
// to read, and what it writes is thrown away; nobody knows how it ends.
func (p *Pot) Spawn(ctx context.Context, e Exec) error {
	process, err := p.process(ctx, e)
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	process.Stdin, process.Stdout, process.Stderr, process.Terminal = null, null, null, false
	started, err := process.Start()
	if err != nil {
		return err
	}
	go started.Wait() // so that it is no zombie while this process is there
	return nil
}

// process is a command of the pot, with neither input nor output yet.
func (p *Pot) process(ctx context.Context, e Exec) (*supervise.Process, error) {
	conf, err := p.imageConf(ctx)
	if err != nil {
		return nil, err
	}
	who, err := lookupUser(p.tree(), e.User)
	if err != nil {
		return nil, err
	}
	jail, err := p.host.Jails.Find(ctx, p.name)
	if err != nil {
		return nil, fmt.Errorf("find jail: %w", err)
	}
	return &supervise.Process{
		Jail: jail, Argv: e.Argv, Env: environment(who, conf.Env, e.Env),
		Dir: e.WorkDir, Identity: who.Identity, Terminal: e.Terminal, By: p.supervisor,
	}, nil
}

// streams are this side of a command's input and output.
type streams struct {
	theirs []*os.File                 // the command's ends
	own    []*os.File                 // ours
	in     func()                     // copies input until it ends
	out    []func()                   // copy output until it ends
	resize func(done <-chan struct{}) // obeys sizes
	quiet  func() bool                // tells whether nothing came since it was last asked; nil where that ends nothing
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
	kill := context.AfterFunc(ctx, func() { syscall.Kill(-command.Pid, syscall.SIGKILL) })
	state, err := command.Wait()
	close(ended)
	killed := !kill()

	read := make(chan struct{})
	go func() {
		out.Wait()
		close(read)
	}()
	s.drained(read)
	switch {
	case killed:
		return supervise.Exit{}, context.Cause(ctx)
	case err != nil:
		return supervise.Exit{}, err
	}
	return supervise.ExitOf(state), nil
}

// drained waits until read is closed, and no longer than is good for output that
// something keeps open.
func (s *streams) drained(read <-chan struct{}) {
	enough := time.After(drainWithin)
	if s.quiet != nil {
		s.quiet() // from now on
	}
	for {
		select {
		case <-read:
			return
		case <-time.After(terminalQuiet):
			if s.quiet == nil || !s.quiet() {
				continue
			}
		case <-enough:
		}
		for _, f := range s.own {
			f.SetReadDeadline(time.Unix(1, 0))
		}
		<-read
		return
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
	output := func(to io.Writer) (*os.File, error) {
		r, w, err := pair()
		if err != nil {
			return nil, err
		}
		s.theirs, s.own = append(s.theirs, w), append(s.own, r)
		s.out = append(s.out, func() { drain(to, r) })
		return w, nil
	}
	if p.Stdout, err = output(e.Stdout); err != nil {
		return nil, err
	}
	if p.Stderr = p.Stdout; same(e.Stdout, e.Stderr) {
		return s, nil // one writer for both is written to by one at a time
	}
	p.Stderr, err = output(e.Stderr)
	return s, err
}

// same tells whether two writers are one.
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
	from := &watched{Reader: ptm}
	s.out = []func(){func() { drain(e.Stdout, from) }}
	s.quiet = from.quiet
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

// drain copies r to its end. A terminal whose other side is closed ends in EIO
// on Linux (pty(7)), which is no more of an error than io.EOF; and a reader
// that has gone away must not block the command.
func drain(w io.Writer, r io.Reader) {
	if w == nil {
		w = io.Discard
	}
	if _, err := io.Copy(w, r); err != nil && !errors.Is(err, syscall.EIO) {
		io.Copy(io.Discard, r)
	}
}

// watched is a reader of which another goroutine can tell that nothing comes.
type watched struct {
	io.Reader
	reads   atomic.Int64 // begun and ended: odd while one waits
	checked int64        // reads, when quiet was last called
}

func (w *watched) Read(b []byte) (int, error) {
	w.reads.Add(1)
	defer w.reads.Add(1)
	return w.Reader.Read(b)
}

// quiet tells whether one and the same read waits as when it was last called:
// somebody slow who takes what was read is no quiet.
func (w *watched) quiet() bool {
	before := w.checked
	w.checked = w.reads.Load()
	return w.checked == before && before%2 == 1
}
