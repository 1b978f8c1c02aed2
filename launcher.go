package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// launcher is the process that started the plugin: an agent.
type launcher struct {
	stdout *os.File // a pipe that the launcher alone reads
	pid    int
}

// launcherInterval is how often the launcher is looked for.
const launcherInterval = time.Second

// goneBefore waits until the launcher is gone or configured is closed. It reports whether
// configured was still open when the launcher was found to be gone.
func (l launcher) goneBefore(configured <-chan struct{}) bool {
	for {
		gone := l.gone(launcherInterval)
		select {
		case <-configured:
			return false
		default:
		}
		if gone {
			return true
		}
	}
}

// gone waits at most that long for the launcher to end, and reports whether it has ended.
//
// The kernel closes the reading end of the pipe with the launcher, and reports that also if
// it happened before this process looked, and whoever is its parent by then. Nobody else
// has that end: it is closed on exec. Where standard output is no pipe another parent is
// what shows that the launcher has ended.
func (l launcher) gone(within time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(l.stdout.Fd())}} // no events: a reader's end is reported always
	_, err := unix.Poll(fds, int(within.Milliseconds()))
	if err != nil && err != unix.EINTR {
		time.Sleep(within)
	}
	return fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 || os.Getppid() != l.pid
}
