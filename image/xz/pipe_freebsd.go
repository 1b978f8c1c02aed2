package xz

import (
	"os"

	"golang.org/x/sys/unix"
)

// newPipe is a pair of sockets without the poller. A pipe would have xz(1) wait at each
// 8 KiB until they are taken (sys_pipe.c, pipe_direct_write) and holds 64 KiB at most; a
// socket holds a megabyte where kern.ipc.maxsockbuf allows that: then the pair is wide.
func newPipe() (r, w *os.File, wide bool, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, false, os.NewSyscallError("socketpair", err)
	}
	wide = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_RCVBUF, pipeBytes) == nil &&
		unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, pipeBytes) == nil
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), wide, nil
}
