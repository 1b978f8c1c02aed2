package zstream

import (
	"time"

	"golang.org/x/sys/unix"
)

// mknod makes a special file; dev is as ZFS keeps it, major above minor.
func mknod(fd int, name string, mode uint32, dev uint64) error {
	return unix.Mknodat(fd, name, mode, int(unix.Mkdev(uint32(dev>>32), uint32(dev))))
}

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
