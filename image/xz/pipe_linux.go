package xz

import (
	"os"

	"golang.org/x/sys/unix"
)

// newPipe makes a pipe with blocking ends. It is wide if it may hold a megabyte
// (fcntl(2), F_SETPIPE_SZ).
func newPipe() (r, w *os.File, wide bool, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, false, os.NewSyscallError("pipe2", err)
	}
	n, err := unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeBytes)
	wide = err == nil && n >= pipeBytes
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), wide, nil
}
