package zstream

import (
	"errors"

	"golang.org/x/sys/unix"
)

// mknod creates a device, a fifo or a socket.
func mknod(fd int, name string, mode uint32, dev uint64) error {
	return unix.Mknodat(fd, name, mode, int(dev))
}

// rename renames a file and fails if the new name exists.
func rename(fromfd int, from string, tofd int, to string) error {
	err := unix.Renameat2(fromfd, from, tofd, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system can
		return renameByLink(fromfd, from, tofd, to)
	}
	return err
}

// chmod sets the mode of a file; mode includes the type. Links have no mode on Linux.
// The file is in the stage or open as fd, so nobody can replace it by a link.
func chmod(fd int, name string, mode uint32) error {
	if mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	return unix.Fchmodat(fd, name, mode&0o7777, 0)
}
