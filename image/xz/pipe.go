package xz

import (
	"os"
	"time"
)

// pipeEnd is our end of a pipe to a command that reads and writes a little at a time,
// as xz(1) does with 8 KiB. It blocks in the system call instead of Go's poller, which
// Linux wakes at each write (fs/pipe.c, poll_usage). If the pipe is wide and this end
// was ahead of the command, it pauses first, to let the command catch up: alternating
// for each 8 KiB can cost more than the work itself.
type pipeEnd struct {
	file  *os.File
	wide  bool
	ahead bool // the last read was short, or the last write blocked
}

// pauseTime is how long the command is left alone. In that time xz(1) decodes half of
// what a wide pipe holds.
const pauseTime = 5 * time.Millisecond

// pipeBytes is the capacity of a wide pipe.
const pipeBytes = 1 << 20

// readPipe makes a pipe for a command to write to.
func readPipe() (ours *pipeEnd, theirs *os.File, err error) {
	r, w, wide, err := newPipe()
	return &pipeEnd{file: r, wide: wide}, w, err
}

// writePipe makes a pipe for a command to read from.
func writePipe() (ours *pipeEnd, theirs *os.File, err error) {
	r, w, wide, err := newPipe()
	return &pipeEnd{file: w, wide: wide}, r, err
}

// Read implements io.Reader. A short read means that this end was ahead.
func (p *pipeEnd) Read(b []byte) (int, error) {
	p.pause()
	n, err := p.file.Read(b)
	p.ahead = n < len(b)
	return n, err
}

// Write implements io.Writer. A write that took long was blocked by a full pipe.
func (p *pipeEnd) Write(b []byte) (int, error) {
	p.pause()
	begun := time.Now()
	n, err := p.file.Write(b)
	p.ahead = time.Since(begun) > pauseTime/5
	return n, err
}

func (p *pipeEnd) pause() {
	if p.wide && p.ahead {
		time.Sleep(pauseTime)
	}
}

// Close closes our end. It may be called twice.
func (p *pipeEnd) Close() error { return p.file.Close() }
