package hosttest

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/supervise"
)

// oddForTest changes the state of this process as BecomeOdd does, as far as it can be
// reverted when the test ends.
func oddForTest(t *testing.T) {
	old := syscall.Umask(0o077)
	signal.Ignore(syscall.SIGUSR1, syscall.SIGTSTP)
	undo := []func() error{func() error { syscall.Umask(old); signal.Reset(syscall.SIGUSR1, syscall.SIGTSTP); return nil }}
	t.Cleanup(func() {
		for _, f := range undo {
			must.NoError(t, f())
		}
	})
	for resource, soft := range map[int]uint64{unix.RLIMIT_CORE: 1 << 20, unix.RLIMIT_STACK: 1 << 20, unix.RLIMIT_FSIZE: 1 << 40} {
		var before unix.Rlimit
		must.NoError(t, unix.Getrlimit(resource, &before))
		undo = append(undo, func() error { return unix.Setrlimit(resource, &before) })
		odd := before
		setLimit(&odd, soft, soft, false)
		must.NoError(t, unix.Setrlimit(resource, &odd))
	}
	undo = append(undo, oddWeight(t))
}

// testInherit checks that commands have the same umask, limits, signals and priorities
// whatever the state of the process that starts them. An agent's unit file, or a shell with
// ulimit and nohup, otherwise decides how tasks run: with a umask of 077 a pot's other
// users could not read what its command creates.
func testInherit(t *testing.T, bed Bed) {
	create(t, bed, spec("web", "sleep", "1h"))
	jail, err := bed.Host.Jails.Find(t.Context(), "web")
	must.NoError(t, err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must.NoError(t, err)
	defer null.Close()
	argv := []string{"/bin/hello", "sleep", "1h"}
	task := func(t *testing.T) string {
		dir := t.TempDir()
		out := filepath.Join(dir, "out.log")
		must.NoError(t, os.WriteFile(out, nil, 0o600))
		_, err := supervise.Start(t.Context(), bed.Supervisor, supervise.Task{Dir: dir, Jail: jail, Argv: argv, Stdout: out})
		must.NoError(t, err)
		s, err := supervise.Open(dir)
		must.NoError(t, err)
		state, err := ProcessState(s.PID)
		must.NoError(t, err)
		must.NoError(t, s.Signal(syscall.SIGKILL))
		_, err = s.Wait(t.Context())
		must.NoError(t, err)
		return state
	}
	// An exec has no supervisor that stays.
	more := func(t *testing.T) string {
		p := &supervise.Process{Jail: jail, Argv: argv, Stdin: null, Stdout: null, Stderr: null, Supervisor: bed.Supervisor}
		command, err := p.Start()
		must.NoError(t, err)
		defer command.Wait()
		defer command.Kill()
		state, err := ProcessState(command.Pid)
		must.NoError(t, err)
		return state
	}
	plain := task(t)
	must.Eq(t, plain, more(t))
	t.Run("a task's command does not inherit the caller's state", func(t *testing.T) {
		oddForTest(t)
		must.Eq(t, plain, task(t))
	})
	t.Run("an exec's command does not inherit the caller's state", func(t *testing.T) {
		oddForTest(t)
		must.Eq(t, plain, more(t))
	})
}
