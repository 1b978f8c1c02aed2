package zstream

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// punch makes a range of a file a hole.
func punch(f *os.File, from, to int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) { // not every file system can
		return zeroRange(f, from, to)
	}
	return os.NewSyscallError("fallocate", err)
}
