package hosttest

import (
	"errors"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeOdd gives this process, and the calling thread, the state that a careless caller
// may have and that every program that it executes inherits: umask, limits, ignored and
// blocked signals, priorities, processors and what the system adds. It locks the goroutine
// to the thread. It cannot be reverted. For descriptors see OpenOdd.
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

// lower lowers a limit: the hard one only if it may be raised again.
func lower(resource int, soft, hard uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(resource, &l); err != nil {
		return err
	}
	setLimit(&l, soft, hard, mayRaise())
	return unix.Setrlimit(resource, &l)
}
