package xz

import (
	"os"

	"golang.org/x/sys/unix"
)

// Constants that golang.org/x/sys/unix lacks (sys/syscall.h, sys/mman.h, sys/fcntl.h).
const (
	sysShmOpen2    = 571 // int shm_open2(const char *path, int flags, mode_t mode, int shmflags, const char *name)
	shmAnon        = 1   // SHM_ANON, in place of a path
	shmAllowSeal   = 0x1 // SHM_ALLOW_SEALING
	shmGrowOnWrite = 0x2 // SHM_GROW_ON_WRITE
	addSeals       = 19  // F_ADD_SEALS
	sealShrink     = 0x2 // F_SEAL_SHRINK
	sealGrow       = 0x4 // F_SEAL_GROW
)

// newMemoryFile makes an empty anonymous file in memory, as memfd_create(3) does.
func newMemoryFile() (*os.File, error) {
	fd, _, errno := unix.Syscall6(sysShmOpen2, shmAnon, unix.O_RDWR|unix.O_CLOEXEC, 0, shmAllowSeal|shmGrowOnWrite, 0, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("shm_open2", errno)
	}
	return os.NewFile(fd, "memory"), nil
}

// sealSize fixes the size of the file: writes beyond its end fail (uipc_shm.c,
// shm_dotruncate_locked).
func sealSize(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), addSeals, sealShrink|sealGrow)
	return os.NewSyscallError("fcntl", err)
}
