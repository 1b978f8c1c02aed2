package hosttest

import (
	"errors"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeOdd gives this process, and the calling thread, to which it locks the goroutine,
// what a careless starter may have and every program that is executed then inherits:
// umask, limits, ignored and blocked signals, priorities, processors and what else the
// system has. There is no way back. Descriptors are OpenOdd's.
func BecomeOdd() error {
	runtime.LockOSThread()
	syscall.Umask(0o077)
	err := oddSystem() // runs commands, and waits for them
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGCHLD, syscall.SIGUSR1, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	return errors.Join(err,
		blockSignals(syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR2, syscall.SIGCONT),
		lower(unix.RLIMIT_NOFILE, 150, 400),
		lower(unix.RLIMIT_STACK, 1<<20, 64<<20),
		lower(unix.RLIMIT_FSIZE, 1<<40, 1<<41),
		lower(unix.RLIMIT_CORE, 1<<20, 1<<21),
	)
}

// lower lowers a limit: the hard one only where it may be raised again.
func lower(resource int, soft, hard uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(resource, &l); err != nil {
		return err
	}
	setLimit(&l, soft, hard, mayRaise())
	return unix.Setrlimit(resource, &l)
}
