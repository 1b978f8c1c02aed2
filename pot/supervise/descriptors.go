package supervise

import (
	"fmt"
	"syscall"
)

// firstExtra is the first descriptor after standard input, output and error. A program has
// no other descriptors unless its starter passes them on purpose.
const firstExtra = 3

// closeRangeCloexec is CLOSE_RANGE_CLOEXEC: Linux 5.11 (linux/close_range.h) and
// FreeBSD 14 (sys/unistd.h) share the value.
const closeRangeCloexec = 1 << 2

// SealDescriptors marks every descriptor of this process from 3 up close-on-exec, so that
// no program that it executes gets what a shell, an agent or a library has left open. It
// may be called repeatedly.
func SealDescriptors() error {
	_, _, errno := syscall.RawSyscall(sysCloseRange, firstExtra, uintptr(^uint32(0)), closeRangeCloexec)
	if errno == 0 {
		return nil
	}
	return sealEach() // an older kernel
}

// sealEach implements SealDescriptors by fcntl(2).
func sealEach() error {
	all, err := openDescriptors()
	if err != nil {
		return err
	}
	for _, fd := range all {
		if fd >= firstExtra {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// CloseInherited closes the descriptors that this process was started with, except for the
// first passed: the process that started it may not have called SealDescriptors. Call it at
// the beginning of a program. It tells inherited descriptors by their flag: Go opens
// everything close-on-exec, and an inherited descriptor never is.
func CloseInherited(passed int) error {
	all, err := openDescriptors()
	if err != nil {
		return err
	}
	for _, fd := range all {
		if fd < passed {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			syscall.Close(fd)
		}
	}
	return nil
}

// checkNoDirectory returns an error that names an open directory of this process, if it has
// one. FreeBSD does not let such a process, or its children, enter a jail, even if the
// descriptor is close-on-exec: jail_attach(2) fails with EPERM (sys/kern/kern_descrip.c,
// chroot_refuse_vdir_fds). Linux has no such rule. The check is the same there, so that
// tests on any machine find code that would fail on FreeBSD.
func checkNoDirectory() error {
	all, err := openDescriptors()
	if err != nil {
		return err
	}
	for _, fd := range all {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			return directoryError(fd, descriptorPath(fd))
		}
	}
	return nil
}

func directoryError(fd int, path string) error {
	return fmt.Errorf("enter jail: descriptor %d is an open directory: %s", fd, path)
}
