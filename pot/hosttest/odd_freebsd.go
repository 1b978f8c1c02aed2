package hosttest

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setLimit sets the soft limit, and with both the hard one, but raises neither. The types
// of unix.Rlimit differ between systems.
func setLimit(l *unix.Rlimit, soft, hard uint64, both bool) {
	if both {
		l.Max = min(l.Max, int64(hard))
	}
	l.Cur = min(l.Max, int64(soft))
}

// mayRaise reports whether this process may raise hard limits: root may.
func mayRaise() bool { return os.Geteuid() == 0 }

// blockSignals blocks signals in the calling thread (sigprocmask(2)). A mask survives
// execve(2).
func blockSignals(all ...syscall.Signal) error {
	const block = 1 // SIG_BLOCK, sys/signal.h
	var set [4]uint32
	for _, s := range all {
		set[0] |= 1 << (s - 1)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SIGPROCMASK, block, uintptr(unsafe.Pointer(&set)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// oddSystem sets the state that only FreeBSD has, by FreeBSD's commands.
func oddSystem() error {
	err := unix.Setpriority(unix.PRIO_PROCESS, 0, 10)
	pid := strconv.Itoa(os.Getpid())
	for _, argv := range [][]string{
		{"rtprio", "31", "-" + pid},
		{"cpuset", "-l", "0", "-p", pid},
		{"protect", "-i", "-p", pid},
	} {
		err = errors.Join(err, exec.Command(argv[0], argv[1:]...).Run())
	}
	class := append([]byte("odd"), 0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETLOGINCLASS, uintptr(unsafe.Pointer(&class[0])), 0, 0); errno != 0 {
		err = errors.Join(err, errno)
	}
	return err
}
