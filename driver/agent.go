package driver

import (
	"sync"
	"time"
)

// agent is Nomad's, as far as it can be seen from here: one that lives listens for
// fingerprints all the time, from when it has restored what it knows.
type agent struct {
	mu         sync.Mutex
	clients    int
	attachedAt time.Time // the last of them
}

// attach is that one has come, who goes with the function that is returned.
func (a *agent) attach() (goes func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients++
	a.attachedAt = time.Now()
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.clients--
	}
}

// attachedFor is how long an agent has been there, less than nothing if none is.
func (a *agent) attachedFor(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clients == 0 {
		return -1
	}
	return now.Sub(a.attachedAt)
}
