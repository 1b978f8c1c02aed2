package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// commandUmask is the umask of every command (FreeBSD's login.conf(5), class default).
const commandUmask = 0o022

// SetUmask sets this process's umask so that files and directories get the modes that are
// asked for, without write access for others, whatever umask the process was started with.
// Call it at the beginning of a program: umask(2) is for the whole process.
func SetUmask() { syscall.Umask(commandUmask) }

// resetInherited sets the state that a command inherits through fork(2) and execve(2):
// umask, limits, signals, priorities and what the system adds (resetSystemState). The
// values do not depend on how this process was started. They apply to the calling thread,
// and to the whole process where the system has one value for it. Descriptors and the
// environment are not included: see SealDescriptors and Process.Env.
//
// The caller must have locked its goroutine to the thread and must execute the command on
// that thread. Every command is executed after a call of resetInherited.
func resetInherited() error {
	syscall.Umask(commandUmask)
	for _, l := range limits() {
		if err := setLimit(l.resource, syscall.Rlimit{Cur: l.soft, Max: l.hard}); err != nil {
			return fmt.Errorf("set resource limit %d: %w", l.resource, err)
		}
	}
	if err := resetSignals(); err != nil {
		return err
	}
	return resetSystemState()
}

// setLimit sets a limit of this process. A process that may not raise the limit, as in a
// container without CAP_SYS_RESOURCE, gets as much as it may.
func setLimit(resource int, want syscall.Rlimit) error {
	err := syscall.Setrlimit(resource, &want)
	if !errors.Is(err, syscall.EPERM) {
		return err
	}
	var have syscall.Rlimit
	if err := syscall.Getrlimit(resource, &have); err != nil {
		return err
	}
	want.Max = min(want.Max, have.Max)
	want.Cur = min(want.Cur, want.Max)
	return syscall.Setrlimit(resource, &want)
}

// raiseDescriptorLimit lets this process open as many descriptors as it may. Go does so
// when a program begins, and resetInherited reverts it.
func raiseDescriptorLimit() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}

// sigIgnore is SIG_IGN (signal.h) of both systems.
const sigIgnore = 1

// resetSignals unblocks all signals in the calling thread and lets this process ignore
// none. An executed program inherits an ignored signal, but not a caught one. Go catches
// most signals. It leaves SIGHUP, SIGINT and the signals that stop a process ignored if
// they were (os/signal, "Default behavior of signals").
func resetSignals() error {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) { // caught instead, so that this process still survives them
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	for n := 1; n <= lastSignal; n++ {
		var now, standard sigaction
		if err := setSignal(n, nil, &now); errors.Is(err, syscall.EINVAL) { // a signal that cannot be changed or does not exist
			continue // one that no process can change, or that there is not
		} else if err != nil {
			return os.NewSyscallError("sigaction", err)
		}
		if now.handler != sigIgnore {
			continue
		}
		if err := setSignal(n, &standard, nil); err != nil {
			return os.NewSyscallError("sigaction", err)
		}
	}
	return os.NewSyscallError("sigprocmask", unblockSignals())
}
