package freebsd

import (
	"context"
	"fmt"
	"io"
	"time"

	"nomad-driver-pot/pot/run"
)

// commandTimeout bounds each command that is run under the lock of all starts and
// stops. They take milliseconds; a command that takes this long hangs.
const commandTimeout = 30 * time.Second

var errCommandTimeout = fmt.Errorf("not done within %s", commandTimeout)

// bounded runs commands that end, or are killed, within commandTimeout.
type bounded struct{ run.Runner }

// Run implements run.Runner.
func (b bounded) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, errCommandTimeout)
	defer cancel()
	return b.Runner.Run(ctx, stdin, argv...)
}
