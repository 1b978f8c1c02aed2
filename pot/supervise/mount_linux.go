package supervise

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// Numbers of system calls on every architecture (asm-generic/unistd.h): open_tree(2),
// Linux 5.2, and mount_setattr(2), Linux 5.12.
const (
	sysOpenTree     = 428
	sysMountSetattr = 442
)

// From fcntl.h and linux/mount.h.
const (
	atFDCWD         = -100
	atEmptyPath     = 0x1000
	openTreeClone   = 1
	mountAttrRDOnly = 1
)

// mountAttr is struct mount_attr (linux/mount.h).
type mountAttr struct{ set, clear, propagation, userns uint64 }

// copyMount opens the file or directory at path on a new mount that is in no tree: no path
// leads out of it. The mount is gone when its last descriptor is closed.
func copyMount(path string) (*os.File, error) {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return nil, err
	}
	cwd := atFDCWD
	fd, _, errno := syscall.Syscall(sysOpenTree, uintptr(cwd), uintptr(unsafe.Pointer(name)), openTreeClone|syscall.O_CLOEXEC)
	if errno != 0 {
		return nil, &os.PathError{Op: "open_tree", Path: path, Err: errno}
	}
	return os.NewFile(fd, path), nil
}

// setReadOnly makes a mount that copyMount returned read-only.
func setReadOnly(f *os.File) error {
	attr, empty := mountAttr{set: mountAttrRDOnly}, [1]byte{}
	_, _, errno := syscall.Syscall6(sysMountSetattr, f.Fd(), uintptr(unsafe.Pointer(&empty)), atEmptyPath,
		uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	runtime.KeepAlive(f)
	return os.NewSyscallError("mount_setattr", errnoError(errno))
}
