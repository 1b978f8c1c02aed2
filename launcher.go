package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// launcher is the agent that started the plugin.
type launcher struct {
	stdout *os.File // a pipe that only the launcher reads
	pid    int      // of the launcher
}

// launcherInterval is the time between checks for the end of the launcher.
const launcherInterval = time.Second

// goneBefore waits until the launcher has ended or configured is closed. It reports whether
// the launcher ended first.
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

// gone waits for the launcher to end, at most for timeout, and reports whether it has ended.
//
// The kernel closes the reading end of the pipe with the launcher. poll(2) reports that even if
// it happened before the call, or if this process has another parent by then. No other process
// has the reading end: it is closed on exec. If standard output is not a pipe, a change of
// parent shows that the launcher has ended.
func (l launcher) gone(timeout time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(l.stdout.Fd())}} // no events: POLLERR and POLLHUP are always reported
	_, err := unix.Poll(fds, int(timeout.Milliseconds()))
	if err != nil && err != unix.EINTR {
		time.Sleep(timeout)
	}
	return fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 || os.Getppid() != l.pid
}
