package life

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"nomad-driver-pot/pot/supervise"
)

// ahead reads a terminal ahead of its reader. FreeBSD discards the output that a terminal
// holds if its last writer has ended and nothing was read for a second (sys/kern/tty.c,
// tty_drain), and a reader may pause for longer.
type ahead struct {
	from *os.File

	mu    sync.Mutex
	held  []byte        // read, and not yet returned by Read
	err   error         // why nothing more will be read
	more  chan struct{} // wakes Read: held has grown, or err is set
	taken chan struct{} // wakes room: held has shrunk
}

// maxAhead is how many bytes are read ahead: as much as a pipe holds. Beyond that only
// aheadBytes are read each aheadEvery, so that FreeBSD does not discard the output while the
// reader pauses.
const (
	maxAhead   = 64 << 10
	aheadEvery = 250 * time.Millisecond
	aheadBytes = 16
)

func newAhead(from *os.File) *ahead {
	return &ahead{from: from, more: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// run reads until the end of the output, or until the terminal's read deadline and then what
// the kernel still holds.
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

// room returns how many bytes to read next. While maxAhead bytes are held, it waits until
// Read takes some, at most for aheadEvery.
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

// hold appends p for Read; err, if it is not nil, is what Read returns after that.
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

// notify wakes the goroutine that receives from c, now or next. c has a buffer of one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
