package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// hostMode is the argument that has a pot-supervisor become a command on the host.
const hostMode = "host"

// HostCommand returns a command that runs on this host for a pot, such as a hook. It
// inherits the same state as a command in a jail. It leads a session, which is killed when
// ctx ends.
//
// program is the path of pot-supervisor, argv[0] the path of the command. If program is
// empty, the command inherits the state of this process instead.
func HostCommand(ctx context.Context, program string, argv ...string) *exec.Cmd {
	if program != "" {
		argv = append([]string{program, hostMode}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// notExecuted is the exit status of a pot-supervisor that could not execute its command, as
// in a shell.
const notExecuted = 126

// Host is the main function of a pot-supervisor that becomes the command argv on the host.
// It returns only if that fails, with the exit status of the process.
func Host(argv []string) int {
	runtime.LockOSThread() // resetInherited changes the calling thread
	if len(argv) == 0 {
		fmt.Fprintln(os.Stderr, "no command to start")
		return notExecuted
	}
	err := CloseInherited(firstExtra)
	if err == nil {
		err = resetInherited()
	}
	if err == nil {
		err = syscall.Exec(argv[0], argv, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "start %s: %v\n", argv[0], err)
	return notExecuted
}
