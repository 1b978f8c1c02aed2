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

// SetUmask has this process make files and directories with the modes that are asked for,
// as far as those do not let others write, whatever umask it was started with. It is for
// the beginning of a program: umask(2) is for all of a process.
func SetUmask() { syscall.Umask(commandUmask) }

// resetInherited gives the calling thread, and its process where the system keeps a value for
// the whole process, the state that a command inherits through fork(2) and execve(2):
// umask, limits, signals, priorities and what else the system hands on. The values are
// the same whatever this process was started with. Descriptors and the environment are
// not among them: see SealDescriptors and Process.Env.
//
// The caller must have locked its goroutine to the thread, and must execute the command
// on it. All commands are executed after a call of inherit.
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

// setLimit sets one of this process's limits. A process that may not raise a limit, as
// in a container without CAP_SYS_RESOURCE, gets the most that it may.
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

// raiseDescriptorLimit lets this process open as many descriptors as it may, as Go does
// when a program begins, and inherit undoes.
func raiseDescriptorLimit() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}

// sigIgnore is SIG_IGN (signal.h) of both systems.
const sigIgnore = 1

// resetSignals blocks no signal in the calling thread, and ignores none in this
// process. A signal that is ignored stays so in whatever is executed, one that is caught
// does not; Go catches most, and leaves SIGHUP and SIGINT ignored if they were, as well
// as those that stop a process (os/signal, "Default behavior of signals").
func resetSignals() error {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) { // this process goes on not to end by them
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	for n := 1; n <= lastSignal; n++ {
		var now, standard sigaction
		if err := setSignal(n, nil, &now); errors.Is(err, syscall.EINVAL) {
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
