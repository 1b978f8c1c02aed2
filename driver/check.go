package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"nomad-driver-pot/pot"
)

// Bounds on a look at the host: commands are ended after the first, and what cannot
// be ended, as on a pool that has lost its disks, is waited for no longer than the
// second.
const (
	checkWithin  = 20 * time.Second
	answerWithin = checkWithin + 10*time.Second
)

// checks are looks at the host, of which there is one at a time. The zero value is
// ready.
type checks struct {
	mu    sync.Mutex
	going *check // nil if there is none
}

// check is one look, for all who wait for it.
type check struct {
	done  chan struct{} // closed when found is there
	found []pot.CheckResult
}

// check is what the host's Check finds, or that it does not answer.
func (c *checks) check(ctx context.Context, host pot.Host) []pot.CheckResult {
	going := c.begin(host)
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case <-going.done:
		return going.found
	case <-timer.C:
	case <-ctx.Done():
	}
	return []pot.CheckResult{{Severity: pot.Fatal, Key: "answers", Text: fmt.Sprintf(
		"the host has not answered within %s: see what its commands wait for (ps axl; zpool status)", answerWithin)}}
}

// begin looks, unless a look is under way that has not come back.
func (c *checks) begin(host pot.Host) *check {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.going == nil {
		c.going = &check{done: make(chan struct{})}
		go c.look(c.going, host)
	}
	return c.going
}

func (c *checks) look(going *check, host pot.Host) {
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	going.found = host.Check(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.going = nil
	close(going.done)
}
