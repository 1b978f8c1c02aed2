package supervise

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// reopenTerminal opens the child's terminal once more. One that was the
// controlling terminal of a child that could not execute its program was revoked
// with that child's session (sys/kern/kern_exit.c, exit1).
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

// inPIDNamespace runs start, which starts a process that is to attach to the jail by itself.
func (j Jail) inPIDNamespace(start func() error) error { return start() }

// attach moves this process into the jail, with all that it has open.
func (j Jail) attach() error {
	_, _, errno := syscall.Syscall(syscall.SYS_JAIL_ATTACH, uintptr(j.ID), 0, 0)
	switch errno {
	case 0:
		return nil
	case syscall.EINVAL: // jail_attach(2): no such jail
		return fmt.Errorf("enter jail: it is gone: %w", errno)
	}
	return fmt.Errorf("enter jail: %w", os.NewSyscallError("jail_attach", errno))
}

// enter runs start, with attr saying that the child attaches to the jail before
// it executes anything (jail_attach(2)).
func (j Jail) enter(attr *os.ProcAttr, start func() error) error {
	runtime.LockOSThread() // inherit is for a thread
	defer runtime.UnlockOSThread()
	if err := resetInherited(); err != nil {
		return err
	}
	attr.Sys.Jail = j.ID
	err := start()
	if errors.Is(err, syscall.EINVAL) { // jail_attach(2): no such jail
		return fmt.Errorf("enter jail: it is gone: %w", err)
	}
	return err
}
