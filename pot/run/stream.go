package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Stream implements Streamer. It returns when all output of the command has been written to
// stdout, however slow stdout is. If stdout hangs when ctx ends, Stream returns without it.
func (h Host) Stream(ctx context.Context, stdout io.Writer, argv ...string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(stdout, r)
		r.Close() // so that the command gets SIGPIPE if stdout has failed
		copied <- err
	}()
	// exec.Cmd would close a pipe of its own WaitDelay after the command's end.
	err = h.run(ctx, nil, w, argv)
	w.Close()
	failed := waitForCopy(ctx, copied)
	switch {
	case err != nil:
		return err
	case failed != nil:
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), failed)
	}
	return nil
}

// waitForCopy waits for the end of copying, at most killDelay after ctx has ended.
func waitForCopy(ctx context.Context, copied <-chan error) error {
	select {
	case err := <-copied:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-copied:
		return errors.Join(context.Cause(ctx), err)
	case <-time.After(killDelay):
		return context.Cause(ctx)
	}
}
