package zstream

import "golang.org/x/sys/unix"

func mknod(fd int, name string, mode uint32, dev uint64) error {
	return unix.Mknodat(fd, name, mode, dev)
}

// rename never takes the place of what has the name already.
func rename(fromfd int, from string, tofd int, to string) error {
	return relink(fromfd, from, tofd, to)
}
