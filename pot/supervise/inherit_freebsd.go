package supervise

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// limit is one of a command's resource limits.
type limit struct {
	resource   int // sys/resource.h
	soft, hard int64
}

// lastLimit is RLIMIT_PIPEBUF of FreeBSD 14.2; before, the last is RLIMIT_UMTXP, 14.
const lastLimit = 15

// limits are those of class root of login.conf(5): none, but those of the kernel
// (kern.maxfilesperproc, kern.maxprocperuid, kern.maxdsiz and such), which setrlimit(2)
// puts in the place of what is beyond them. Class daemon differs in locked memory, which
// a jail can have none of unless allow.mlock is set for it.
func limits() []limit {
	var all []limit
	for resource := range lastLimit + 1 {
		var known syscall.Rlimit
		if syscall.Getrlimit(resource, &known) == nil {
			all = append(all, limit{resource, syscall.RLIM_INFINITY, syscall.RLIM_INFINITY})
		}
	}
	return all
}

// lastSignal is _SIG_MAXSIG (sys/_sigset.h).
const lastSignal = 128

// sigaction is struct sigaction (sys/signal.h).
type sigaction struct {
	handler uintptr
	flags   int32
	mask    [4]uint32
}

func setSignal(n int, act, old *sigaction) error {
	return call(syscall.SYS_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)))
}

func unblockSignals() error {
	const setMask = 3 // SIG_SETMASK, sys/signal.h
	var none [4]uint32
	return call(syscall.SYS_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&none)), 0)
}

// call is a system call without a result.
//
//go:uintptrescapes
func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return errno
	}
	return nil
}

// resetSystemState sets what FreeBSD has beyond other systems. It belongs to the process,
// and to the session that it leads.
func resetSystemState() error {
	for _, set := range []struct {
		name string
		set  func() error
	}{
		{"rtprio", timeshare},
		{"setpriority", func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, 0) }},
		{"cpuset", allCPUs},
		{"procctl", unprotect},
		{"setloginclass", func() error { return callWithName(syscall.SYS_SETLOGINCLASS, "daemon") }}, // init(8)'s, for rc(8)
		{"setlogin", func() error { return callWithName(syscall.SYS_SETLOGIN, "root") }},             // likewise
		{"setfib", func() error { return call(syscall.SYS_SETFIB, 0) }},
	} {
		if err := set.set(); err != nil {
			return os.NewSyscallError(set.name, err)
		}
	}
	return nil
}

func callWithName(nr uintptr, name string) error {
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	return call(nr, uintptr(unsafe.Pointer(text)))
}

// timeshare takes this process's threads out of the classes of rtprio(1) and idprio(1).
func timeshare() error {
	const lookup, set, normal = 0, 1, 3 // RTP_LOOKUP, RTP_SET, RTP_PRIO_NORMAL (sys/rtprio.h)
	var p struct{ kind, prio uint16 }
	// A process's own ID means all its threads, 0 the calling one (sys/kern/kern_resource.c).
	pid := uintptr(os.Getpid())
	if err := call(syscall.SYS_RTPRIO, lookup, pid, uintptr(unsafe.Pointer(&p))); err != nil || p.kind == normal {
		return err
	}
	p.kind, p.prio = normal, 0
	return call(syscall.SYS_RTPRIO, set, pid, uintptr(unsafe.Pointer(&p)))
}

// From sys/cpuset.h. A process ID of -1 is this process.
const (
	cpuLevelCPUSet = 2
	cpuLevelWhich  = 3
	cpuWhichPID    = 2
	defaultCPUSet  = 1
	thisProcess    = ^uintptr(0)
)

// allCPUs takes this process out of the sets of processors that cpuset(1) has put it, or
// its starter, in. A mask of its threads' own is widened first: it would be kept in another
// set, and in that of a jail (sys/kern/kern_cpuset.c, cpuset_setproc).
func allCPUs() error {
	most, err := syscall.SysctlUint32("kern.smp.maxcpus")
	if err != nil {
		return err
	}
	own, base := make([]byte, (most+63)/64*8), make([]byte, (most+63)/64*8)
	size := uintptr(len(own))
	err = call(syscall.SYS_CPUSET_GETAFFINITY, cpuLevelWhich, cpuWhichPID, thisProcess, size, uintptr(unsafe.Pointer(&own[0])))
	if err == nil {
		err = call(syscall.SYS_CPUSET_GETAFFINITY, cpuLevelCPUSet, cpuWhichPID, thisProcess, size, uintptr(unsafe.Pointer(&base[0])))
	}
	if err == nil && !bytes.Equal(own, base) {
		err = call(syscall.SYS_CPUSET_SETAFFINITY, cpuLevelWhich, cpuWhichPID, thisProcess, size, uintptr(unsafe.Pointer(&base[0])))
	}
	if err != nil {
		return err
	}
	err = call(syscall.SYS_CPUSET_SETID, cpuWhichPID, thisProcess, defaultCPUSet)
	if errors.Is(err, syscall.ESRCH) {
		return nil // this is in a jail, which has no other set
	}
	return err
}

// unprotect has the kernel choose this process as others when swap space is exhausted:
// protect(1), with which rc(8) can start an agent, is inherited.
func unprotect() error {
	const pid, protect, clear, inherit = 0, 1, 2, 0x20 // P_PID; PROC_SPROTECT, PPROT_CLEAR, PPROT_INHERIT (sys/procctl.h)
	flags := int32(clear | inherit)
	return call(syscall.SYS_PROCCTL, pid, uintptr(os.Getpid()), protect, uintptr(unsafe.Pointer(&flags)))
}
