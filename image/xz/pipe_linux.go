package xz

import "golang.org/x/sys/unix"

// widen has a pipe hold a megabyte, and tells whether it does (fcntl(2),
// F_SETPIPE_SZ).
func widen(fd int) bool {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 1<<20)
	return err == nil && n >= 1<<20
}
