package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// limit is one of a command's resource limits.
type limit struct {
	resource   int // asm-generic/resource.h
	soft, hard uint64
}

const unlimited = ^uint64(0) // RLIM_INFINITY

// limits returns the default limits of a service on Linux: the kernel's
// (asm-generic/resource.h, INIT_RLIMITS; kernel/fork.c, fork_init), except for open files,
// where the soft limit is from Nomad's unit file for the agent and the hard limit is
// systemd's.
func limits() []limit {
	return []limit{
		{0, unlimited, unlimited},                // CPU
		{1, unlimited, unlimited},                // FSIZE
		{2, unlimited, unlimited},                // DATA
		{3, 8 << 20, unlimited},                  // STACK
		{4, 0, unlimited},                        // CORE
		{5, unlimited, unlimited},                // RSS
		{6, unlimited, unlimited},                // NPROC: counts a user's processes in all pots; a pot's are bounded by its control group
		{7, 65536, 524288},                       // NOFILE
		{8, 8 << 20, 8 << 20},                    // MEMLOCK
		{9, unlimited, unlimited},                // AS
		{10, unlimited, unlimited},               // LOCKS
		{11, pendingSignals(), pendingSignals()}, // SIGPENDING
		{12, 819200, 819200},                     // MSGQUEUE
		{13, 0, 0},                               // NICE
		{14, 0, 0},                               // RTPRIO
		{15, unlimited, unlimited},               // RTTIME
	}
}

// pendingSignals returns the kernel's default: half of the number of threads that may exist
// (kernel/fork.c, fork_init).
func pendingSignals() uint64 {
	data, err := os.ReadFile("/proc/sys/kernel/threads-max")
	n, e := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 32)
	if err != nil || e != nil {
		return 8192
	}
	return n / 2
}

// lastSignal is SIGRTMAX.
const lastSignal = 64

// sigaction is the kernel's struct of that name, on amd64 and arm64.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

func setSignal(n int, act, old *sigaction) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(act)),
		uintptr(unsafe.Pointer(old)), unsafe.Sizeof(act.mask), 0, 0)
	return errnoError(errno)
}

func unblockSignals() error {
	const setMask = 2 // SIG_SETMASK, asm-generic/signal-defs.h
	var none uint64
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&none)), 0, unsafe.Sizeof(none), 0, 0)
	return errnoError(errno)
}

func errnoError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// From linux/prctl.h, linux/ioprio.h, linux/keyctl.h and linux/capability.h.
const (
	prGetSecurebits    = 27
	prSetSecurebits    = 28
	prSetTimerslack    = 29
	prSetTHPDisable    = 41
	ioprioWhoProcess   = 1
	joinSessionKeyring = 1
	capabilityVersion3 = 0x20080522
)

// defaultTimerslack is the kernel's default, in nanoseconds (init/init_task.c).
const defaultTimerslack = 50_000

// Arguments of system calls. They are globals, which the garbage collector does not move.
var (
	noParam sched
	allCPUs = [1024]byte(bytes.Repeat([]byte{0xff}, 1024)) // the kernel takes those that there are
)

// sched is struct sched_param.
type sched struct{ priority int32 }

// resetSystemState resets what only Linux has. All but oom_score_adj belongs to the calling
// thread.
func resetSystemState() error {
	for _, c := range []struct {
		name        string
		nr          uintptr
		a, b, c     uintptr
		mayBeAbsent bool // in the kernel, or forbidden in a container
	}{
		{"sched_setscheduler", syscall.SYS_SCHED_SETSCHEDULER, 0, 0, uintptr(unsafe.Pointer(&noParam)), false}, // SCHED_OTHER
		{"setpriority", syscall.SYS_SETPRIORITY, syscall.PRIO_PROCESS, 0, 0, false},
		{"ioprio_set", syscall.SYS_IOPRIO_SET, ioprioWhoProcess, 0, 0, false}, // IOPRIO_CLASS_NONE: as nice says
		{"sched_setaffinity", syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(allCPUs), uintptr(unsafe.Pointer(&allCPUs)), false},
		{"set_mempolicy", syscall.SYS_SET_MEMPOLICY, 0, 0, 0, true}, // MPOL_DEFAULT
		{"personality", syscall.SYS_PERSONALITY, 0, 0, 0, false},    // PER_LINUX, and no flags
		{"prctl", syscall.SYS_PRCTL, prSetTimerslack, defaultTimerslack, 0, false},
		{"prctl", syscall.SYS_PRCTL, prSetTHPDisable, 0, 0, true},
		{"keyctl", syscall.SYS_KEYCTL, joinSessionKeyring, 0, 0, true}, // a new one, without a name
	} {
		_, _, errno := syscall.RawSyscall6(c.nr, c.a, c.b, c.c, 0, 0, 0)
		if errno != 0 && !(c.mayBeAbsent && (errno == syscall.ENOSYS || errno == syscall.EPERM || errno == syscall.EINVAL)) {
			return os.NewSyscallError(c.name, errno)
		}
	}
	if err := resetCapabilities(); err != nil {
		return err
	}
	return resetOOM()
}

// resetCapabilities makes the thread pass on capabilities only by the rules for root and by
// the bounding set. It clears inheritable capabilities, which root would have beyond the
// bounding set, with them the ambient ones, and securebits, which change the rules
// (capabilities(7)).
func resetCapabilities() error {
	bits, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prGetSecurebits, 0, 0)
	if errno == 0 && bits != 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_PRCTL, prSetSecurebits, 0, 0)
	}
	if errno != 0 {
		return fmt.Errorf("reset securebits: %w", os.NewSyscallError("prctl", errno))
	}
	return setCapabilities(^uint64(0))
}

// setCapabilities removes from the calling thread all capabilities that are not in
// permitted, and all inheritable ones.
func setCapabilities(permitted uint64) error {
	header := struct {
		version uint32
		pid     int32
	}{version: capabilityVersion3}
	var sets [2]struct{ effective, permitted, inheritable uint32 }
	_, _, errno := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	if errno != 0 {
		return os.NewSyscallError("capget", errno)
	}
	for i := range sets {
		most := uint32(permitted >> (32 * i))
		sets[i].effective &= most
		sets[i].permitted &= most
		sets[i].inheritable = 0
	}
	_, _, errno = syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	return os.NewSyscallError("capset", errnoError(errno))
}

// resetOOM makes the kernel's OOM killer compare this process with others by memory alone.
// A process with oom_score_adj -1000 is never killed, whatever its memory limit. A positive
// value, of a container that everything here runs in, may not be lowered; it does not
// protect the process.
func resetOOM() error {
	const file = "/proc/self/oom_score_adj"
	now, err := os.ReadFile(file)
	if err == nil && strings.TrimSpace(string(now)) != "0" {
		err = os.WriteFile(file, []byte("0"), 0)
		if errors.Is(err, fs.ErrPermission) && now[0] != '-' {
			return nil
		}
	}
	return err
}
