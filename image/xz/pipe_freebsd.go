package xz

import (
	"os"

	"golang.org/x/sys/unix"
)

// newPipe makes a pair of blocking sockets. With a pipe, xz(1) would wait at each 8 KiB
// until they are read (sys_pipe.c, pipe_direct_write), and a pipe holds 64 KiB at most.
// A socket holds a megabyte if kern.ipc.maxsockbuf allows it: then the pair is wide.
func newPipe() (r, w *os.File, wide bool, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, false, os.NewSyscallError("socketpair", err)
	}
	wide = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_RCVBUF, pipeBytes) == nil &&
		unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, pipeBytes) == nil
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), wide, nil
}
