package image

import (
	"os"

	"golang.org/x/sys/unix"
)

// widen has a pipe hold a megabyte, so that who writes and who reads take turns less
// often (fcntl(2), F_SETPIPE_SZ). Where that is not allowed it is as it was.
func widen(pipe *os.File) {
	if c, err := pipe.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
	}
}
