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

// Stream implements Streamer. It returns when all that the command has written is in
// stdout, however slowly stdout takes it. A stdout that hangs when ctx ends is left behind.
func (h Host) Stream(ctx context.Context, stdout io.Writer, argv ...string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(stdout, r)
		r.Close() // the command does not write for nobody
		copied <- err
	}()
	// A pipe of exec.Cmd's own would be closed WaitDelay after the command's end.
	err = h.run(ctx, nil, w, argv)
	w.Close()
	failed := awaitCopy(ctx, copied)
	switch {
	case err != nil:
		return err
	case failed != nil:
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), failed)
	}
	return nil
}

// awaitCopy waits for the end of copying, for no longer than killDelay when ctx has ended.
func awaitCopy(ctx context.Context, copied <-chan error) error {
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
