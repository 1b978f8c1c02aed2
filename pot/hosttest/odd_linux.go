package hosttest

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// setLimit sets the soft limit, and with both the hard one, but raises neither. The types
// of unix.Rlimit differ between systems.
func setLimit(l *unix.Rlimit, soft, hard uint64, both bool) {
	if both {
		l.Max = min(l.Max, hard)
	}
	l.Cur = min(l.Max, soft)
}

// mayRaise reports whether this process may raise hard limits, and lower oom_score_adj.
func mayRaise() bool {
	var sets [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0])
	return err == nil && sets[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// blockSignals blocks signals in the calling thread (pthread_sigmask(3)). A mask survives
// execve(2).
func blockSignals(all ...syscall.Signal) error {
	var set unix.Sigset_t
	for _, s := range all {
		set.Val[0] |= 1 << (s - 1)
	}
	return unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
}

// oddSystem sets the state that only Linux has.
func oddSystem() error {
	var last unix.CPUSet
	err := unix.SchedGetaffinity(0, &last)
	for cpu := 0; last.Count() > 1; cpu++ {
		last.Clear(cpu)
	}
	oom := "500"
	if mayRaise() {
		oom = "-500"
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	err = errors.Join(err, unix.Capget(&header, &sets[0]))
	sets[0].Inheritable, sets[1].Inheritable = sets[0].Permitted, sets[1].Permitted
	const batch, bestEffort, lowest = unix.SCHED_BATCH, 2 << 13, 7 // linux/ioprio.h
	_, _, ioprio := unix.RawSyscall(unix.SYS_IOPRIO_SET, 1, 0, bestEffort|lowest)
	_, _, persona := unix.RawSyscall(unix.SYS_PERSONALITY, 0x0040000, 0, 0) // ADDR_NO_RANDOMIZE
	for _, errno := range []syscall.Errno{ioprio, persona} {
		if errno != 0 {
			err = errors.Join(err, errno)
		}
	}
	return errors.Join(err,
		unix.Capset(&header, &sets[0]),
		unix.Prctl(unix.PR_SET_SECUREBITS, 1<<2, 0, 0, 0), // SECBIT_NO_SETUID_FIXUP
		unix.Prctl(unix.PR_SET_TIMERSLACK, 1_000_000, 0, 0, 0),
		unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0),
		unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: batch, Nice: 10}, 0),
		unix.SchedSetaffinity(0, &last),
		os.WriteFile("/proc/self/oom_score_adj", []byte(oom), 0),
	)
}
