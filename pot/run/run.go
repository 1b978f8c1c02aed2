// Package run runs commands of the host's base system.
//
// A command is an argument vector; nothing from outside passes through a shell. Code that
// uses a Runner is tested with a Log in its place, which checks every command line on any
// machine.
//
// The package does not start commands in pots: see package supervise. Start reading at
// Runner and Host.Run.
package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Runner runs a command and returns what it printed. It returns an *Error for a command
// that ran and failed, and an error that wraps ErrNotFound for one that is not installed.
// stdin may be nil. If stdin is an io.WriterTo, Run calls WriteTo with the command's input
// instead of Read; WriteTo must return when a write fails.
type Runner interface {
	Run(ctx context.Context, stdin io.Reader, argv ...string) (stdout string, err error)
}

// Streamer is a Runner that passes on what a command prints as it comes, without a bound on
// its size.
type Streamer interface {
	Stream(ctx context.Context, stdout io.Writer, argv ...string) error
}

// Error is a command that ran and failed.
type Error struct {
	Argv   []string
	Code   int    // exit status; -1 if a signal ended it
	Stderr string // all of it, trimmed
}

// Error returns the command line, its status, and the last line of its standard error.
func (e *Error) Error() string {
	last := e.Stderr[strings.LastIndexByte(e.Stderr, '\n')+1:]
	return fmt.Sprintf("%s: exit status %d: %s", strings.Join(e.Argv, " "), e.Code, last)
}

// ErrNotFound is wrapped by the error of a command that is not installed.
var ErrNotFound = errors.New("no such command")

// Says reports whether err is an *Error of a command whose standard error contains text.
func Says(err error, text string) bool {
	var e *Error
	return errors.As(err, &e) && strings.Contains(e.Stderr, text)
}

// Host runs commands on this machine. It looks names up in the directories of the base
// system only.
type Host struct{}

// dirs are the directories in which FreeBSD's base system has commands (hier(7)).
var dirs = []string{"/sbin", "/bin", "/usr/sbin", "/usr/bin"}

// Bounds on a command.
const (
	maxOutput = 16 << 20         // bytes of stdout, and as many of stderr
	killDelay = 5 * time.Second  // from SIGTERM, when ctx ends, to SIGKILL
	reapDelay = 30 * time.Second // from SIGKILL to giving up: a process can hang in the kernel
)

// Run implements Runner. When ctx ends, Run kills the command and returns ctx's cause, even
// if the command hangs in the kernel and does not end.
func (h Host) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	var stdout output
	err := h.run(ctx, stdin, &stdout, argv)
	if errors.Is(err, errUnkillable) {
		return "", err // the command may still write
	}
	if stdout.full && ctx.Err() == nil {
		return "", fmt.Errorf("%s: more than %d bytes of output", strings.Join(argv, " "), maxOutput)
	}
	var failed *Error
	if err != nil && !errors.As(err, &failed) {
		return "", err
	}
	return stdout.String(), err
}

// run runs argv and returns when the command has ended, or when it cannot be killed.
func (Host) run(ctx context.Context, stdin io.Reader, stdout io.Writer, argv []string) error {
	observe(argv)
	path, err := find(argv[0])
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	var stderr output
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &stderr
	cmd.Env = []string{"LC_ALL=C", "PATH=" + strings.Join(dirs, ":")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C must not reach it: this process cancels it
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
	start, ended := cmd.Start, cmd.Wait
	if f := newStdinPipe(stdin); f != nil {
		start = func() error { return f.start(cmd) }
		ended = func() error { return f.wait(cmd) }
	}
	if err := start(); err != nil {
		return startError(ctx, argv, err)
	}
	err = wait(ctx, ended, killDelay+reapDelay)
	var exit *exec.ExitError
	switch {
	case errors.Is(err, errUnkillable):
		return fmt.Errorf("%s: %w: %w", strings.Join(argv, " "), context.Cause(ctx), err)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), context.Cause(ctx))
	case errors.As(err, &exit):
		return &Error{Argv: argv, Code: exit.ExitCode(), Stderr: strings.TrimSpace(stderr.String())}
	case err != nil:
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// startError returns the error of a command that could not be started.
func startError(ctx context.Context, argv []string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
}

// errUnkillable means that a process hangs in the kernel, where no signal reaches it.
var errUnkillable = errors.New("killed, and has not ended")

// wait returns end's error once the command has ended. After ctx has ended it waits at most
// patience and then returns errUnkillable; end still runs in the background.
func wait(ctx context.Context, end func() error, patience time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return errUnkillable
	}
}

// find returns the path of a command, which may be a path already.
func find(name string) (string, error) {
	if filepath.IsAbs(name) {
		return exec.LookPath(name)
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w in %s", name, ErrNotFound, strings.Join(dirs, ", "))
}

// output keeps the first maxOutput bytes of what is written to it.
type output struct {
	kept bytes.Buffer // not embedded: its ReadFrom has no bound
	full bool
}

func (o *output) String() string { return o.kept.String() }

func (o *output) Write(p []byte) (int, error) {
	if room := maxOutput - o.kept.Len(); len(p) > room {
		o.full = true
		o.kept.Write(p[:room])
		return len(p), nil
	}
	return o.kept.Write(p)
}
