package supervise

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// reopenTerminal opens the child's terminal again. If the terminal controlled a child that
// could not execute its program, the kernel revoked it with that child's session
// (sys/kern/kern_exit.c, exit1). The caller calls close once the next child is started.
func reopenTerminal(attr *os.ProcAttr) (close func(), err error) {
	old := attr.Files[0]
	tty, err := os.OpenFile(old.Name(), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	for i, f := range attr.Files {
		if f == old {
			attr.Files[i] = tty
		}
	}
	return func() { tty.Close() }, nil
}

// inPIDNamespace runs start: FreeBSD has no PID namespaces, and the child attaches to the
// jail itself.
func (j Jail) inPIDNamespace(start func() error) error { return start() }

// attach moves this process into the jail, with all its open descriptors.
func (j Jail) attach() error {
	_, _, errno := syscall.Syscall(syscall.SYS_JAIL_ATTACH, uintptr(j.ID), 0, 0)
	switch errno {
	case 0:
		return nil
	case syscall.EINVAL: // jail_attach(2): no such jail
		return fmt.Errorf("enter jail: the jail is gone: %w", errno)
	}
	return fmt.Errorf("enter jail: %w", os.NewSyscallError("jail_attach", errno))
}

// enter runs start with attr set so that the child attaches to the jail before it executes
// a program (jail_attach(2)).
func (j Jail) enter(attr *os.ProcAttr, start func() error) error {
	runtime.LockOSThread() // resetInherited changes the calling thread
	defer runtime.UnlockOSThread()
	if err := resetInherited(); err != nil {
		return err
	}
	attr.Sys.Jail = j.ID
	err := start()
	if errors.Is(err, syscall.EINVAL) { // jail_attach(2): no such jail
		return fmt.Errorf("enter jail: the jail is gone: %w", err)
	}
	return err
}
