// Package run runs the commands of the host's base system.
//
// Commands are argument vectors and nothing from outside passes through a
// shell. Who uses a Runner can be given a Log in its place: every command line
// is tested on whatever machine runs the tests.
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

// Runner runs a command and returns what it printed. A command that ran and
// failed is an *Error. stdin may be nil. One that is an io.WriterTo is written to the
// command rather than read for it; its WriteTo must end when a write fails.
type Runner interface {
	Run(ctx context.Context, stdin io.Reader, argv ...string) (stdout string, err error)
}

// Streamer is a Runner that can hand on what a command prints as it comes, however
// much that is.
type Streamer interface {
	Stream(ctx context.Context, stdout io.Writer, argv ...string) error
}

// Error is a command that ran and failed.
type Error struct {
	Argv   []string
	Code   int    // exit status; -1 when a signal ended it
	Stderr string // all of it, trimmed
}

// Error is the command line, its status, and the last line it complained with.
func (e *Error) Error() string {
	last := e.Stderr[strings.LastIndexByte(e.Stderr, '\n')+1:]
	return fmt.Sprintf("%s: exit status %d: %s", strings.Join(e.Argv, " "), e.Code, last)
}

// ErrNotFound is wrapped by errors of commands that are not installed.
var ErrNotFound = errors.New("no such command")

// Says tells whether err is of a command that complained with text.
func Says(err error, text string) bool {
	var e *Error
	return errors.As(err, &e) && strings.Contains(e.Stderr, text)
}

// Host runs commands on this machine, by their name, from the base system's
// directories and no others.
type Host struct{}

// dirs are where FreeBSD's base system keeps commands (hier(7)).
var dirs = []string{"/sbin", "/bin", "/usr/sbin", "/usr/bin"}

// Bounds on a command.
const (
	maxOutput = 16 << 20         // bytes of stdout; of stderr as many
	killDelay = 5 * time.Second  // between SIGTERM, when ctx ends, and SIGKILL
	reapDelay = 30 * time.Second // between SIGKILL and giving up: a process can hang in the kernel
)

// Run implements Runner. When ctx ends Run kills the command and returns ctx's cause,
// also where the command does not end.
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
	start, ended := cmd.Start, cmd.Wait
	if f := feedOf(stdin); f != nil {
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

// startError is the failure of a command that was not started.
func startError(ctx context.Context, argv []string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
}

// errUnkillable is a process that hangs in the kernel, where no signal reaches it.
var errUnkillable = errors.New("killed, and has not ended")

// wait waits for a command's end, and after ctx's for no longer than patience. The
// process of a command that has not ended by then is waited for in the background.
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

// find is the path of a command, which may be one.
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

// output keeps the first maxOutput bytes.
type output struct {
	kept bytes.Buffer // not embedded: its ReadFrom knows no bound
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
