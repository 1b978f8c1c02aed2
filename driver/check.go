package driver

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"nomad-driver-pot/pot"
)

// Bounds on a check of the host: its commands are killed after the first. A command that
// cannot be killed, as on a pool that has lost its disks, is waited for no longer than the
// second.
const (
	checkWithin  = 20 * time.Second
	answerWithin = checkWithin + 10*time.Second
)

// checks are checks of the host, of which one runs at a time: none is started beside one
// that hangs. The zero value is ready.
type checks struct{ group singleflight.Group }

// check returns what the host's Check finds, or that it does not answer.
func (c *checks) check(ctx context.Context, host pot.Host) []pot.CheckResult {
	answer := c.group.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
		defer cancel()
		return host.Check(ctx), nil
	})
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case found := <-answer:
		return found.Val.([]pot.CheckResult)
	case <-timer.C:
	case <-ctx.Done():
	}
	return []pot.CheckResult{{Severity: pot.Fatal, Key: "answers", Text: fmt.Sprintf(
		"the host has not answered within %s: see what its commands wait for (ps axl; zpool status)", answerWithin)}}
}
