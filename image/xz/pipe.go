package xz

import (
	"os"
	"time"
)

// pipeEnd is our end of a pipe to a command that reads and writes a little at a time,
// as xz(1) does with 8 KiB. It waits in the system call, not in Go's poller, which
// Linux wakes at each write (fs/pipe.c, poll_usage). Where the pipe is wide it has the
// other side get ahead, when it was too fast, before it goes on: to take turns can
// cost more than what is done in them.
type pipeEnd struct {
	file *os.File
	wide bool
	fast bool // the last time it found less than it could take, or no room
}

// getAhead is for how long the other side is left alone: xz(1) decodes half of what a
// wide pipe holds meanwhile.
const getAhead = 5 * time.Millisecond

// pipeBytes is what a wide pipe holds.
const pipeBytes = 1 << 20

// readPipe is a pipe that a command is to write to.
func readPipe() (ours *pipeEnd, theirs *os.File, err error) {
	r, w, wide, err := newPipe()
	return &pipeEnd{file: r, wide: wide}, w, err
}

// writePipe is a pipe that a command is to read.
func writePipe() (ours *pipeEnd, theirs *os.File, err error) {
	r, w, wide, err := newPipe()
	return &pipeEnd{file: w, wide: wide}, r, err
}

func (p *pipeEnd) Read(b []byte) (int, error) {
	p.pause()
	n, err := p.file.Read(b)
	p.fast = n < len(b)
	return n, err
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	p.pause()
	begun := time.Now()
	n, err := p.file.Write(b)
	p.fast = time.Since(begun) > getAhead/5
	return n, err
}

func (p *pipeEnd) pause() {
	if p.wide && p.fast {
		time.Sleep(getAhead)
	}
}

// Close may be called twice.
func (p *pipeEnd) Close() error { return p.file.Close() }
