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
	going chan []pot.Finding // nil if there is none
}

// check is what the host's Check finds, or that it does not answer.
func (c *checks) check(ctx context.Context, host pot.Host) []pot.Finding {
	going := c.begin(host)
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case found := <-going:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.going = nil
		return found
	case <-timer.C:
	case <-ctx.Done():
	}
	return []pot.Finding{{Weight: pot.Fatal, Key: "answers", Text: fmt.Sprintf(
		"the host has not answered within %s: see what its commands wait for (ps axl; zpool status)", answerWithin)}}
}

// begin looks, unless a look is under way that has not come back.
func (c *checks) begin(host pot.Host) <-chan []pot.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.going == nil {
		found := make(chan []pot.Finding, 1)
		c.going = found
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
			defer cancel()
			found <- host.Check(ctx)
		}()
	}
	return c.going
}
