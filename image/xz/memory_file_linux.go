package xz

import (
	"os"

	"golang.org/x/sys/unix"
)

// newMemoryFile makes an empty file that is in memory, and has no name (memfd_create(2)).
func newMemoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("xz", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "memory"), nil
}

// sealSize has the file keep its size: what is written after its end is refused
// (F_ADD_SEALS(2const)).
func sealSize(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	return os.NewSyscallError("fcntl", err)
}
