package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// namespaces are those that a jail's process joins, from linux/sched.h. The network is the
// host's if the jail has none of its own; joining it changes nothing.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS |
	syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET

// sysPidfdOpen is pidfd_open(2), Linux 5.3; setns(2) takes its descriptors
// since Linux 5.8.
const sysPidfdOpen = 434

// From linux/prctl.h.
const prCapbsetDrop = 24

// allowedCapabilities (linux/capability.h) are what root in a jail keeps: what FreeBSD lets
// a jail's root do by default (jail(8), allow.*). Raw sockets, devices, mounts, modules and
// the clock are not among them.
var allowedCapabilities = map[uintptr]bool{
	0:  true, // CAP_CHOWN
	1:  true, // CAP_DAC_OVERRIDE
	2:  true, // CAP_DAC_READ_SEARCH
	3:  true, // CAP_FOWNER
	4:  true, // CAP_FSETID
	5:  true, // CAP_KILL
	6:  true, // CAP_SETGID
	7:  true, // CAP_SETUID
	8:  true, // CAP_SETPCAP
	10: true, // CAP_NET_BIND_SERVICE
	15: true, // CAP_IPC_OWNER
	18: true, // CAP_SYS_CHROOT
	23: true, // CAP_SYS_NICE
	31: true, // CAP_SETFCAP
}

// inPIDNamespace runs start on a thread whose children are in the jail's PID namespace, and
// in no other of its namespaces. It is for a child that calls attach itself.
func (j Jail) inPIDNamespace(start func() error) error {
	return onThread(func() error {
		first, err := j.openFirst(j.ID)
		if err != nil {
			return err
		}
		defer syscall.Close(first)
		if err := setns(first, syscall.CLONE_NEWPID); err != nil {
			return err
		}
		return start()
	})
}

// attach moves the calling thread, of a process that inPIDNamespace has started, into the
// jail. The goroutine must be locked to the thread and must do nothing afterwards but
// execute the command.
func (j Jail) attach() error {
	const firstProcess = 1 // its ID in the jail's PID namespace
	first, err := j.openFirst(firstProcess)
	if err != nil {
		return err
	}
	defer syscall.Close(first)
	if _, err := j.joinCgroups(true); err != nil {
		return fmt.Errorf("enter jail: %w", err)
	}
	if err := unshareDirectory(); err != nil {
		return err
	}
	return enterNamespaces(first)
}

// enter runs start on a thread that is in the jail and has the state that the command
// inherits. The thread ends afterwards: it cannot return to the host.
func (j Jail) enter(attr *os.ProcAttr, start func() error) error {
	return onThread(func() error { return j.startInside(attr, start) })
}

// onThread runs f by OnOwnThread and returns its error.
func onThread(f func() error) error {
	done := make(chan error)
	go OnOwnThread(func() { done <- f() })
	return <-done
}

// reopenTerminal does nothing: on Linux a terminal survives the session that it controlled.
func reopenTerminal(*os.ProcAttr) (close func(), err error) { return func() {}, nil }

// OnOwnThread runs f on a thread that no other goroutine will use, and that is not the
// process's first: /proc/self describes the first thread.
func OnOwnThread(f func()) {
	runtime.LockOSThread() // not unlocked: the thread ends with its goroutine
	if syscall.Gettid() != syscall.Getpid() {
		f()
		return
	}
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		OnOwnThread(f) // on another thread, as this one waits
	}()
	<-done
}

// startInside moves the calling thread into the jail and runs start.
func (j Jail) startInside(attr *os.ProcAttr, start func() error) error {
	first, err := j.openFirst(j.ID)
	if err != nil {
		return err
	}
	defer syscall.Close(first)
	group, err := j.joinCgroups(false)
	if err != nil {
		return fmt.Errorf("enter jail: %w", err)
	}
	if group != nil {
		defer group.Close()
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(group.Fd())
	}
	if err := unshareDirectory(); err != nil { // and the umask
		return err
	}
	if err := resetInherited(); err != nil {
		return err
	}
	if err := enterNamespaces(first); err != nil {
		return err
	}
	return start()
}

// openFirst opens the jail's first process, whose ID is pid in the calling thread's PID
// namespace (pidfd_open(2)). It returns an error if the process is gone.
func (j Jail) openFirst(pid int) (fd int, err error) {
	pidfd, _, errno := syscall.RawSyscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if errno != 0 {
		return -1, fmt.Errorf("enter jail: the jail is gone: %w", errno)
	}
	if pid != j.ID {
		return int(pidfd), nil // this process ends with the jail: the ID is not reused
	}
	if born, err := ProcessStartTicks(pid); err != nil || born != j.StartTicks {
		syscall.Close(int(pidfd))
		return -1, fmt.Errorf("enter jail: the jail is gone: process %d is another: %w", pid, fs.ErrNotExist)
	}
	return int(pidfd), nil
}

// unshareDirectory gives the calling thread its own working directory and umask. A thread
// that shares them cannot change its mount namespace (setns(2), EINVAL).
func unshareDirectory() error {
	return os.NewSyscallError("unshare", syscall.Unshare(syscall.CLONE_FS))
}

// enterNamespaces moves the calling thread into the namespaces of the jail's first process,
// and drops the capabilities that a jail's root does not have.
func enterNamespaces(first int) error {
	if err := setns(first, namespaces); err != nil {
		return err
	}
	return dropCapabilities()
}

func setns(pidfd int, which uintptr) error {
	if _, _, errno := syscall.RawSyscall(sysSetns, uintptr(pidfd), which, 0); errno != 0 {
		return os.NewSyscallError("setns", errno)
	}
	return nil
}

// joinCgroups puts the calling thread, and so what it starts or executes, into the control
// groups of version 1. Version 2 takes whole processes only. If whole is set, this process
// becomes the command and joins; otherwise joinCgroups returns the group, into which the
// child must be cloned (CLONE_INTO_CGROUP, Linux 5.7).
func (j Jail) joinCgroups(whole bool) (group *os.File, err error) {
	for _, dir := range j.Cgroups {
		// 0 is the thread, or the process, that writes. For one that is named the kernel
		// would wait until no process anywhere is starting a thread or ending, for many
		// milliseconds.
		file := "tasks"
		if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil {
			if !whole {
				return openGroup(dir) // the last: a machine has one hierarchy of version 2
			}
			file = "cgroup.procs"
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte("0"), 0); err != nil {
			return nil, fmt.Errorf("join control group: %w", err)
		}
	}
	return nil, nil
}

// openGroup opens a control group so that the child may have it open. The child resolves
// the paths of its command and its directory with all descriptors of this process open: a
// path like /proc/self/fd/9/../.. would lead from an ordinary directory to the host
// (CVE-2024-21626). A copied mount has no parent.
func openGroup(dir string) (*os.File, error) {
	f, err := copyMount(dir)
	if err != nil {
		return nil, fmt.Errorf("join control group: %w", err)
	}
	// Before Linux 5.12 it stays writable, and shows nothing but the pot's own group.
	if err := setReadOnly(f); err != nil && !errors.Is(err, syscall.ENOSYS) {
		return nil, errors.Join(fmt.Errorf("join control group: %w", err), f.Close())
	}
	return f, nil
}

// dropCapabilities removes all but allowedCapabilities from the thread's bounding set, and
// so from whatever it executes (capabilities(7)), and from the thread itself. The thread
// resolves paths of the pot: one like /proc/PID/root leads to the host if PID is about to
// enter the pot and the thread may trace it (CVE-2016-9962).
func dropCapabilities() error {
	const last = 63 // more than there are: the kernel returns EINVAL after the last
	var keep uint64
	for c := uintptr(0); c <= last; c++ {
		if allowedCapabilities[c] {
			keep |= 1 << c
			continue
		}
		_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapbsetDrop, c, 0)
		if errno == syscall.EINVAL {
			break
		}
		if errno != 0 {
			return os.NewSyscallError("prctl", errno)
		}
	}
	return setCapabilities(keep)
}

// ProcessStartTicks returns a process's start time in clock ticks since boot (proc(5),
// stat, field 22). Together with its ID it identifies a process for good.
func ProcessStartTicks(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name, field 2, is in brackets and may hold anything.
	end := strings.LastIndexByte(string(data), ')')
	fields := strings.Fields(string(data[end+1:]))
	const startTime = 22 - 3
	if end < 0 || len(fields) <= startTime {
		return 0, errors.New("no start time in /proc/PID/stat")
	}
	return strconv.ParseUint(fields[startTime], 10, 64)
}
