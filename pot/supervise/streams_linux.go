package supervise

import (
	"os"
	"syscall"
)

// chownStreams makes the command's user the owner of its standard streams. On Linux opening
// /dev/stdout by name opens the pipe or the terminal again (proc(5), /proc/PID/fd), which
// only its owner may: without this, a program of another user than root could write to
// descriptors 1 and 2 and not to /dev/stdout.
//
// Errors are ignored: the descriptors work all the same.
func (p *Process) chownStreams() {
	for _, f := range []*os.File{p.Stdin, p.Stdout, p.Stderr} {
		if conn, err := f.SyscallConn(); err == nil {
			conn.Control(func(fd uintptr) { chownStream(int(fd), p.Terminal, int(p.Identity.UID)) })
		}
	}
}

// chownStream changes the owner of a pipe, a fifo or a file, and of the command's terminal,
// but of no other device, such as /dev/null. It leaves a file with several names alone: a
// task can put a link to another user's file in the place of its own fifo.
func chownStream(fd int, isTerminal bool, uid int) {
	var s syscall.Stat_t
	if syscall.Fstat(fd, &s) != nil || int(s.Uid) == uid || s.Nlink > 1 {
		return
	}
	switch s.Mode & syscall.S_IFMT {
	case syscall.S_IFIFO, syscall.S_IFREG:
	case syscall.S_IFCHR:
		if !isTerminal {
			return
		}
	default:
		return
	}
	syscall.Fchown(fd, uid, -1)
}
