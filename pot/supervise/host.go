package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// hostMode is what a pot-supervisor is started as that becomes a command of the host.
const hostMode = "host"

// HostCommand returns a command of this host that is started for a pot, such as a hook:
// what it inherits is what a command in a jail does. It leads a session, which is killed
// when ctx ends. program is the path of pot-supervisor, argv[0] that of the command.
// Without a program the command inherits what this process has.
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

// notExecuted is the exit status of a pot-supervisor that did not become a command, as in
// a shell.
const notExecuted = 126

// Host is the whole life of a pot-supervisor that is to become the host's command argv:
// it returns, with the process's exit status, if it does not.
func Host(argv []string) int {
	runtime.LockOSThread() // inherit is for a thread
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
