package zstream

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mknod creates a device, a fifo or a socket. mknodat(2) creates no sockets on FreeBSD
// (vfs_syscalls.c, kern_mknodat).
func mknod(fd int, name string, mode uint32, dev uint64) error {
	if mode&unix.S_IFMT == unix.S_IFSOCK {
		return makeSocket(fd, name)
	}
	return unix.Mknodat(fd, name, mode, dev)
}

// makeSocket creates a socket without a listener: the name that bindat(2) creates stays
// when the socket is closed.
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

// rename renames a file and fails if the new name exists; rename(2) would replace it.
func rename(fromfd int, from string, tofd int, to string) error {
	return renameByLink(fromfd, from, tofd, to)
}

// chmod sets the mode of a file or a link (lchmod(2)).
func chmod(fd int, name string, mode uint32) error {
	return unix.Fchmodat(fd, name, mode&0o7777, unix.AT_SYMLINK_NOFOLLOW)
}
