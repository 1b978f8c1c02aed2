package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"nomad-driver-pot/pot/exact"
)

// maxTask bounds the encoded task, in bytes. Arguments and environment are at most ARG_MAX
// (2 MiB on Linux, 512 KiB on FreeBSD), and JSON needs at most eight bytes for a byte that
// is not UTF-8 (package exact).
const maxTask = 32 << 20

// Run is the main function of a supervisor. It reads a Task from stdin, answers on stdout
// once the command runs, and returns when the command has ended and its exit record is on
// disk. The result is the exit status of the process. Run does not return if it executes
// Task.OnExit.
func Run(stdin io.ReadCloser, stdout io.WriteCloser) int {
	var t Task
	answer := func(r reply) error {
		return errors.Join(json.NewEncoder(stdout).Encode(r), stdout.Close())
	}
	if err := exact.Decode(io.LimitReader(stdin, maxTask), &t); err != nil {
		answer(reply{Problem: fmt.Sprintf("read task: %v", err)})
		return 1
	}
	stdin.Close()
	if err := preventTracing(); err != nil { // until the child executes the command, the pot's processes see it
		answer(reply{Problem: err.Error()})
		return 1
	}
	s := &supervisor{task: t, forwards: map[string]io.Closer{}}
	defer s.drainOutputs()
	defer s.close()
	if err := s.start(); err != nil {
		s.fifos = nil // the command wrote nothing
		answer(reply{Problem: err.Error()})
		return 1
	}
	if err := answer(reply{Running: s.running}); err != nil {
		// The caller is gone: no other process knows of this command.
		s.kill()
	}
	s.task.Env = nil
	debug.FreeOSMemory()
	status := s.wait()
	if status == 0 && len(t.OnExit) > 0 {
		// All descriptors of this process are close-on-exec.
		err := syscall.Exec(t.OnExit[0], t.OnExit, []string{"PATH=" + DefaultPath})
		fmt.Fprintf(os.Stderr, "%s: %v\n", t.OnExit[0], err)
	}
	return status
}

// supervisor is the state of a running pot-supervisor.
type supervisor struct {
	task     Task
	running  Running
	command  *os.Process
	holding  *holding // in place of a command, or nil
	timedOut atomic.Bool
	alive    *os.File

	forgotten atomic.Bool          // nobody will read the exit record
	open      []io.Closer          // closed when the command has ended, last first
	rotators  []*logRotator        // outputs with bounded files
	fifos     []*fifo              // outputs that are fifos of other processes
	forwards  map[string]io.Closer // by Forward.key; only serveControl's once that runs
}

// close closes all that the supervisor holds open while the command runs.
func (s *supervisor) close() {
	for i := len(s.open) - 1; i >= 0; i-- {
		s.open[i].Close()
	}
	s.open = nil
}

// drainOutputs waits until no process in the jail can write to the bounded outputs any
// more: processes that the command left behind may still have the pipes open. It also
// waits, at most readerTimeout, for the readers of fifos. Callers of Wait have their answer
// before.
func (s *supervisor) drainOutputs() {
	deadline := time.Now().Add(readerTimeout)
	for _, f := range s.fifos {
		f.release(deadline)
	}
	for _, k := range s.rotators {
		<-k.ended
	}
}

// start opens what the command needs and starts it.
func (s *supervisor) start() error {
	// Read and write, so that the open needs no reader; non-blocking, so that a fifo that
	// nobody reads does not block the supervisor.
	alive, err := os.OpenFile(filepath.Join(s.task.Dir, aliveFifo), os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	s.open, s.alive = append(s.open, alive), alive
	control, err := os.OpenFile(filepath.Join(s.task.Dir, controlFifo), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s.open = append(s.open, control)

	for _, f := range s.task.Forwards {
		l, err := forward(f)
		if err != nil {
			return err
		}
		s.open = append(s.open, l)
		s.forwards[f.key()] = l
	}
	if len(s.task.Argv) == 0 {
		s.holding = newHolding()
	} else if err := s.startCommand(); err != nil {
		return err
	}
	raiseDescriptorLimit() // each forwarded connection needs two
	s.running = Running{Supervisor: os.Getpid(), PID: s.pid(), Started: time.Now().UTC()}
	if err := writeRecord(s.task.Dir, runningFile, s.running); err != nil {
		s.kill()
		s.awaitEnd()
		return err
	}
	go s.serveControl(control)
	return nil
}

// startCommand starts the command with its outputs. The supervisor keeps fifos open for
// reading as well: while a log collector is restarted, the command blocks and is not killed
// by SIGPIPE.
func (s *supervisor) startCommand() error {
	p := Process{
		Jail: s.task.Jail, Argv: s.task.Argv, Env: s.task.Env,
		Dir: s.task.WorkDir, Identity: s.task.Identity,
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	p.Stdin, p.Stdout, p.Stderr = null, null, null
	for _, out := range []struct {
		path string
		file **os.File
	}{{s.task.Stdout, &p.Stdout}, {s.task.Stderr, &p.Stderr}} {
		if out.path == "" {
			continue
		}
		w, err := s.output(out.path)
		if err != nil {
			return err
		}
		defer w.Close()
		*out.file = w
	}
	s.command, err = p.Start()
	return err
}

// output opens the file, the fifo or the pipe that the command writes to for path.
func (s *supervisor) output(path string) (*os.File, error) {
	if s.task.OutputBytes > 0 {
		k, w, err := newLogRotator(path, s.task.OutputBytes)
		if err == nil {
			s.rotators = append(s.rotators, k)
		}
		return w, err
	}
	w, keep, err := openOutput(path)
	if keep != nil {
		s.fifos = append(s.fifos, keep)
	}
	return w, err
}

// wait waits for the command's end and writes the exit record. It returns the supervisor's
// exit status.
func (s *supervisor) wait() int {
	if s.task.MaxRuntime > 0 {
		timer := time.AfterFunc(s.task.MaxRuntime, func() {
			s.timedOut.Store(true) // before the end can be seen
			s.kill()
		})
		defer timer.Stop()
	}
	exit, err := s.awaitEnd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "wait for the command: %v\n", err)
		return 1
	}
	for _, k := range s.rotators {
		k.flush() // a caller that learns of the end may read the files at once
	}
	exit.TimedOut = s.timedOut.Load() && exit.Signal == int(syscall.SIGKILL)
	if err := s.recordExit(exit); err != nil {
		fmt.Fprintf(os.Stderr, "write exit record: %v\n", err)
		return 1
	}
	return 0
}

// ExitOf returns how a process ended, as Nomad and shells count: 128 plus the signal's
// number if a signal ended it.
func ExitOf(state *os.ProcessState) Exit {
	exit := Exit{Code: state.ExitCode(), Ended: time.Now().UTC()}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Signal = int(ws.Signal())
		exit.Code = 128 + exit.Signal
	}
	return exit
}
