package xz

import (
	"os"

	"golang.org/x/sys/unix"
)

// newMemoryFile makes an empty anonymous file in memory (memfd_create(2)).
func newMemoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("xz", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "memory"), nil
}

// sealSize fixes the size of the file: writes beyond its end fail
// (F_ADD_SEALS(2const)).
func sealSize(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	return os.NewSyscallError("fcntl", err)
}
