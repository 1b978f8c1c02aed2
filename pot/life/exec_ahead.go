package life

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"nomad-driver-pot/pot/supervise"
)

// ahead reads a terminal ahead of its reader. FreeBSD discards what a terminal holds when
// its last writer has ended and nothing was read of it for a second (sys/kern/tty.c,
// tty_drain): a reader may pause for longer.
type ahead struct {
	from *os.File

	mu    sync.Mutex
	held  []byte
	err   error         // why nothing more will be held
	more  chan struct{} // something is held, or err is set
	taken chan struct{} // something was taken
}

// Bounds on what is read ahead: as much as a pipe holds. Beyond that a few bytes at a time
// are, so that a terminal whose reader pauses does not seem to have none.
const (
	maxAhead   = 64 << 10
	aheadEvery = 250 * time.Millisecond
	aheadBytes = 16
)

func newAhead(from *os.File) *ahead {
	return &ahead{from: from, more: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// run reads until the end, or past the deadline of the terminal.
func (a *ahead) run() {
	buf := make([]byte, outputBuffer)
	for {
		n, err := a.from.Read(buf[:a.room()])
		a.hold(buf[:n], nil)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			supervise.ReadBuffered(a.from, buf, func(p []byte) { a.hold(p, nil) })
			err = io.EOF
		}
		if err != nil {
			a.hold(nil, err)
			return
		}
	}
}

// room returns how many bytes may be read ahead now.
func (a *ahead) room() int {
	for tick := time.After(aheadEvery); ; {
		a.mu.Lock()
		full := len(a.held) >= maxAhead
		a.mu.Unlock()
		if !full {
			return outputBuffer
		}
		select {
		case <-a.taken:
		case <-tick:
			return aheadBytes
		}
	}
}

func (a *ahead) hold(p []byte, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = append(a.held, p...)
	if a.err == nil {
		a.err = err
	}
	notify(a.more)
}

// Read implements io.Reader, for one caller.
func (a *ahead) Read(p []byte) (int, error) {
	for {
		a.mu.Lock()
		n := copy(p, a.held)
		a.held = a.held[n:]
		err := a.err
		a.mu.Unlock()
		switch {
		case n > 0:
			notify(a.taken)
			return n, nil
		case err != nil:
			return 0, err
		}
		<-a.more
	}
}

// notify wakes the one that waits for c, or that will.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
