package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/armon/circbuf"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// ExecTask is drivers.DriverPlugin's: what script checks and templates run in a
// task. Of the output the last drivers.CheckBufSize bytes are kept.
func (d *Driver) ExecTask(id string, argv []string, timeout time.Duration) (*drivers.ExecTaskResult, error) {
	ctx := d.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("killed after %s", timeout))
		defer cancel()
	}
	stdout, err := circbuf.NewBuffer(drivers.CheckBufSize)
	if err != nil {
		return nil, err
	}
	stderr, err := circbuf.NewBuffer(drivers.CheckBufSize)
	if err != nil {
		return nil, err
	}
	result, err := d.exec(ctx, id, pot.Exec{Argv: argv, Stdout: stdout, Stderr: stderr})
	if err != nil {
		return nil, err
	}
	return &drivers.ExecTaskResult{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitResult: result}, nil
}

// ExecTaskStreaming is drivers.ExecTaskStreamingDriver's: nomad alloc exec.
func (d *Driver) ExecTaskStreaming(ctx context.Context, id string, o *drivers.ExecOptions) (*drivers.ExitResult, error) {
	// Closed any sooner, a word too many of the user's would be an error, and
	// the exit code lost. Of outputs that nobody reads any more, one may be in the
	// middle of being written.
	context.AfterFunc(ctx, func() {
		if o.Stdin != nil { // nothing to read
			o.Stdin.Close()
		}
		o.Stdout.Close()
		o.Stderr.Close()
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends sizes
	defer o.Stdout.Close()
	defer o.Stderr.Close()
	return d.exec(ctx, id, pot.Exec{
		Argv:     o.Command,
		Stdin:    o.Stdin,
		Stdout:   o.Stdout,
		Stderr:   o.Stderr,
		Terminal: o.Tty,
		Resize:   sizes(ctx, o.ResizeCh),
	})
}

// exec runs one more command in the task's pot, as the task's own is run.
func (d *Driver) exec(ctx context.Context, id string, e pot.Exec) (*drivers.ExitResult, error) {
	t, err := d.known(id)
	if err != nil {
		return nil, err
	}
	e.Env, e.User, e.WorkDir = t.env, t.user, t.state.WorkDir
	exit, err := t.exec(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("cannot run command in task: %w", err)
	}
	return &drivers.ExitResult{ExitCode: exit.Code, Signal: exit.Signal}, nil
}

func (t *task) exec(ctx context.Context, e pot.Exec) (supervise.Exit, error) {
	switch {
	case len(e.Argv) == 0:
		return supervise.Exit{}, errors.New("no command")
	case !t.running():
		return supervise.Exit{}, errors.New("it has ended")
	}
	return t.pot.Exec(ctx, e)
}

// sizes translates a terminal's sizes until ctx ends. Where there is no terminal,
// or it is slow, only the newest is kept: whoever sends them has input to send too.
func sizes(ctx context.Context, in <-chan drivers.TerminalSize) <-chan pot.Size {
	if in == nil {
		return nil
	}
	out := make(chan pot.Size)
	go func() {
		defer close(out)
		var newest pot.Size
		var to chan<- pot.Size // nil while there is nothing to send
		for {
			select {
			case size, ok := <-in:
				if !ok {
					return
				}
				newest, to = pot.Size{Rows: uint16(size.Height), Cols: uint16(size.Width)}, out
			case to <- newest:
				to = nil
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
