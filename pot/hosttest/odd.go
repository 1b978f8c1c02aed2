package hosttest

import (
	"errors"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeOdd sets in this process, and in the calling thread, to which it locks the goroutine,
// all that a careless parent may have set and that every program that is executed inherits:
// umask, limits, ignored and blocked signals, priorities, processors and the settings of
// oddSystem. It cannot be undone. OpenOdd does the same for descriptors.
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

// lower lowers a limit; the hard limit only if this process may raise it again.
func lower(resource int, soft, hard uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(resource, &l); err != nil {
		return err
	}
	setLimit(&l, soft, hard, mayRaise())
	return unix.Setrlimit(resource, &l)
}
