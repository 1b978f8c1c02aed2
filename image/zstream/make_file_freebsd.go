package zstream

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mknod makes a special file, of either kind of device, a fifo or a socket. mknodat(2)
// makes no sockets on FreeBSD (vfs_syscalls.c, kern_mknodat).
func mknod(fd int, name string, mode uint32, dev uint64) error {
	if mode&unix.S_IFMT == unix.S_IFSOCK {
		return makeSocket(fd, name)
	}
	return unix.Mknodat(fd, name, mode, dev)
}

// makeSocket makes a socket that nobody listens at: what bindat(2) has made stays when the
// socket that was bound is closed.
func makeSocket(dir int, name string) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	at := unix.RawSockaddrUnix{Len: unix.SizeofSockaddrUnix, Family: unix.AF_UNIX}
	if len(name) >= len(at.Path) {
		return unix.ENAMETOOLONG
	}
	for i := range len(name) {
		at.Path[i] = int8(name[i])
	}
	_, _, errno := unix.Syscall6(unix.SYS_BINDAT, uintptr(dir), uintptr(s), uintptr(unsafe.Pointer(&at)), unix.SizeofSockaddrUnix, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// rename never takes the place of what has the name already. rename(2) would.
func rename(fromfd int, from string, tofd int, to string) error {
	return renameByLink(fromfd, from, tofd, to)
}

// chmod gives a file its mode, a link too (lchmod(2)).
func chmod(fd int, name string, mode uint32) error {
	return unix.Fchmodat(fd, name, mode&0o7777, unix.AT_SYMLINK_NOFOLLOW)
}
