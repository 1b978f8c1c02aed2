package driver

import (
	"sync"
	"time"
)

// agent tracks whether a Nomad agent is attached to the plugin. An agent listens
// for fingerprints for as long as it lives, and begins to when it has restored
// its tasks.
type agent struct {
	mu         sync.Mutex
	clients    int       // open streams of fingerprints
	attachedAt time.Time // when the last of them was opened
}

// attach records a client; the caller must call detach when its stream closes.
func (a *agent) attach() (detach func()) {
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

// attachedFor returns how long an agent has been attached. It is negative if
// none is.
func (a *agent) attachedFor(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clients == 0 {
		return -1
	}
	return now.Sub(a.attachedAt)
}
