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

// limits returns the limits of class root of login.conf(5): infinity for each, which
// setrlimit(2) lowers to the kernel's own bounds (kern.maxfilesperproc, kern.maxprocperuid,
// kern.maxdsiz and others). Class daemon differs in locked memory, of which a jail can have
// none unless allow.mlock is set for it.
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
// call makes a system call that has no result.
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

// resetSystemState resets what only FreeBSD has. It belongs to the process, and to the
// session that it leads.
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

// timeshare takes all threads of this process out of the real-time and idle classes
// (rtprio(1), idprio(1)).
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

// allCPUs puts this process back into the default CPU set if cpuset(1) has put it, or the
// process that started it, in another. A mask of the threads themselves is widened first:
// the kernel would keep it in another set, and in the set of a jail
// (sys/kern/kern_cpuset.c, cpuset_setproc).
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
		return nil // this process is in a jail, which has no other set
	}
	return err
}

// unprotect lets the kernel kill this process as any other when swap space is exhausted.
// protect(1), with which rc(8) can start an agent, is inherited.
func unprotect() error {
	const pid, protect, clear, inherit = 0, 1, 2, 0x20 // P_PID; PROC_SPROTECT, PPROT_CLEAR, PPROT_INHERIT (sys/procctl.h)
	flags := int32(clear | inherit)
	return call(syscall.SYS_PROCCTL, pid, uintptr(os.Getpid()), protect, uintptr(unsafe.Pointer(&flags)))
}
