package supervise

import (
	"os"
	"syscall"
)

// chownStreams makes the command's user the owner of its standard streams. Opening
// /dev/stdout, or any other of them by name, opens the pipe or the terminal itself once
// more on Linux (proc(5), /proc/PID/fd), which only its owner may: a program of another
// user than root could write to its descriptors 1 and 2, and not to /dev/stdout.
//
// It is no error if a stream has to stay whose it is: the descriptor works all the same.
func (p *Process) chownStreams() {
	for _, f := range []*os.File{p.Stdin, p.Stdout, p.Stderr} {
		if conn, err := f.SyscallConn(); err == nil {
			conn.Control(func(fd uintptr) { chownStream(int(fd), p.Terminal, int(p.Identity.UID)) })
		}
	}
}

// chownStream gives away a pipe, a fifo, a file, or, if it is one, a terminal, but no
// device such as /dev/null. One that has more than one name may be another's: a task can
// put a link to somebody else's file where its own fifo was.
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
