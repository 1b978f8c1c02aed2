package zstream

import "golang.org/x/sys/unix"

// mknod makes a special file, of either kind of device, or a fifo.
func mknod(fd int, name string, mode uint32, dev uint64) error {
	return unix.Mknodat(fd, name, mode, dev)
}

// rename never takes the place of what has the name already. rename(2) would.
func rename(fromfd int, from string, tofd int, to string) error {
	return relink(fromfd, from, tofd, to)
}
