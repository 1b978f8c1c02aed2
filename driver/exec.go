package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/armon/circbuf"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/supervise"
)

// ExecTask implements drivers.DriverPlugin. Nomad uses it for script checks and
// templates. It returns the last drivers.CheckBufSize bytes of each output.
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
	result, err := d.exec(ctx, id, life.Exec{Argv: argv, Stdout: stdout, Stderr: stderr})
	if err != nil {
		return nil, err
	}
	return &drivers.ExecTaskResult{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitResult: result}, nil
}

// ExecTaskStreaming implements drivers.ExecTaskStreamingDriver, for nomad alloc
// exec.
func (d *Driver) ExecTaskStreaming(ctx context.Context, id string, o *drivers.ExecOptions) (*drivers.ExitResult, error) {
	// The streams are closed with ctx, and not when the command ends: input that
	// the user sends after that would fail, and the exit code would be lost. Closing
	// the outputs ends a write that nobody reads any more.
	context.AfterFunc(ctx, func() {
		if o.Stdin != nil { // nil if there is no input
			o.Stdin.Close()
		}
		o.Stdout.Close()
		o.Stderr.Close()
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends sizes
	defer o.Stdout.Close()
	defer o.Stderr.Close()
	result, err := d.exec(ctx, id, life.Exec{
		Argv:     o.Command,
		Stdin:    o.Stdin,
		Stdout:   o.Stdout,
		Stderr:   o.Stderr,
		Terminal: o.Tty,
		Resize:   sizes(ctx, o.ResizeCh),
	})
	if err != nil && len(err.Error()) > maxStreamError {
		d.logger.Warn("cannot run command in task", "task_id", id, "error", err)
		err = shortened(err, maxStreamError)
	}
	return result, err
}

// maxStreamError is the size in bytes of the longest error of ExecTaskStreaming that reaches the
// user. Nomad's agent puts it, after gRPC's "rpc error: code = Unknown desc = ", into a
// WebSocket close frame, whose reason has at most 123 bytes (RFC 6455, 5.5). With a longer
// one the agent sends none, and the user sees "unexpected EOF".
const maxStreamError = 123 - 33

// shortened returns an error without the middle of err's text, so that it has at most size
// bytes. What failed stands at its beginning, and why at its end.
func shortened(err error, size int) error {
	const omitted = "…"
	text := oneLine(err)
	if len(text) <= size {
		return err
	}
	head := (size - len(omitted)) / 3
	tail := size - len(omitted) - head
	return errors.New(strings.ToValidUTF8(text[:head], "") + omitted + strings.ToValidUTF8(text[len(text)-tail:], ""))
}

// exec runs a command in the task's pot, with the environment, user and working
// directory of the task's own command.
func (d *Driver) exec(ctx context.Context, id string, e life.Exec) (*drivers.ExitResult, error) {
	t, err := d.lookup(id)
	if err != nil {
		return nil, err
	}
	command := t.pot.Spec() // as it was started: the image may set both
	e.Env, e.User, e.WorkDir = t.env, cmp.Or(t.user, command.User), cmp.Or(t.state.WorkDir, command.WorkDir)
	exit, err := t.exec(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("cannot run command in task: %w", err)
	}
	return &drivers.ExitResult{ExitCode: exit.Code, Signal: exit.Signal}, nil
}

// exec runs e in the task's pot. It refuses a task that has ended, whose pot may still
// exist.
func (t *task) exec(ctx context.Context, e life.Exec) (supervise.Exit, error) {
	switch {
	case len(e.Argv) == 0:
		return supervise.Exit{}, errors.New("no command")
	case !t.running():
		return supervise.Exit{}, errors.New("the task has ended")
	}
	return t.pot.Exec(ctx, e)
}

// sizes translates the sizes of a terminal until ctx ends. It always receives and
// keeps only the newest: their sender has input to send too, and must not be held
// up by a command that has no terminal or is slow. sizes returns nil if in is nil.
func sizes(ctx context.Context, in <-chan drivers.TerminalSize) <-chan life.Size {
	if in == nil {
		return nil
	}
	out := make(chan life.Size)
	go func() {
		defer close(out)
		var newest life.Size
		var to chan<- life.Size // nil while there is nothing to send
		for {
			select {
			case size, ok := <-in:
				if !ok {
					return
				}
				newest, to = life.Size{Rows: uint16(size.Height), Cols: uint16(size.Width)}, out
			case to <- newest:
				to = nil
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
