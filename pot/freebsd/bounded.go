package freebsd

import (
	"context"
	"fmt"
	"io"
	"time"

	"nomad-driver-pot/pot/run"
)

// commandWithin bounds each command that is run under the lock of all starts and
// stops. They take milliseconds; a command that takes this long hangs.
const commandWithin = 30 * time.Second

var errCommandWithin = fmt.Errorf("not done within %s", commandWithin)

// bounded runs commands that end, or are killed, within commandWithin.
type bounded struct{ run.Runner }

// Run implements run.Runner.
func (b bounded) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandWithin, errCommandWithin)
	defer cancel()
	return b.Runner.Run(ctx, stdin, argv...)
}
