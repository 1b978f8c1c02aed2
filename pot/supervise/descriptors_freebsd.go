package supervise

import (
	"bytes"
	"os"
	"syscall"
	"unsafe"
)

// sysCloseRange is close_range(2), FreeBSD 12.2 (sys/syscall.h).
const sysCloseRange = 575

// openDescriptors returns the open descriptors of this process. /dev/fd has only 0, 1 and 2
// without fdescfs(5), and the limit may be a million: so it tries descriptors in order
// until it has as many as the kernel counts.
func openDescriptors() ([]int, error) {
	left, err := countDescriptors()
	if err != nil {
		return nil, err
	}
	most, err := syscall.SysctlUint32("kern.maxfilesperproc")
	if err != nil {
		return nil, os.NewSyscallError("sysctl kern.maxfilesperproc", err)
	}
	var all []int
	for fd := 0; left > 0 && fd < int(most); fd++ { // the bound is reached if another thread closes one meanwhile
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); errno == 0 {
			all = append(all, fd)
			left--
		}
	}
	return all, nil
}

// countDescriptors returns sysctl(3) kern.proc.nfds of this process, which the last 0 of
// the name stands for (sys/sysctl.h, KERN_PROC_NFDS; sys/kern/kern_descrip.c,
// sysctl_kern_proc_nfds).
func countDescriptors() (int, error) {
	name := [...]int32{1, 14, 43, 0} // CTL_KERN, KERN_PROC, KERN_PROC_NFDS
	var count int32
	size := unsafe.Sizeof(count)
	_, _, errno := syscall.Syscall6(syscall.SYS___SYSCTL, uintptr(unsafe.Pointer(&name)), uintptr(len(name)),
		uintptr(unsafe.Pointer(&count)), uintptr(unsafe.Pointer(&size)), 0, 0)
	if errno != 0 {
		return 0, os.NewSyscallError("sysctl kern.proc.nfds", errno)
	}
	return int(count), nil
}

// kinfoFile is the part of struct kinfo_file (sys/user.h) that is used here: its size
// first, a path last.
type kinfoFile struct {
	size int32
	_    [364]byte
	path [1024]byte // PATH_MAX
}

// fKinfo is F_KINFO of fcntl(2), FreeBSD 14 (sys/fcntl.h).
const fKinfo = 22

// descriptorPath returns the path that fd is open on, if the kernel's name cache has it.
func descriptorPath(fd int) string {
	info := kinfoFile{size: int32(unsafe.Sizeof(kinfoFile{}))}
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), fKinfo, uintptr(unsafe.Pointer(&info)))
	path, _, _ := bytes.Cut(info.path[:], []byte{0})
	if errno != 0 || len(path) == 0 {
		return "unknown path"
	}
	return string(path)
}
