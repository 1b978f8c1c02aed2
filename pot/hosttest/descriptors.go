package hosttest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/supervise"
)

// Descriptor is an open descriptor of a process.
type Descriptor struct {
	Directory bool
	Socket    bool
	Poller    bool   // epoll, eventfd or kqueue, which Go's runtime opens when it needs them
	Name      string // path, where the system has one
}

// oddLock is the name of the lock file that OpenOdd opens.
const oddLock = "odd.lock"

// highDescriptor is a number that no process here reaches by itself, and that is within
// every limit.
const highDescriptor = 200

// OpenOdd opens what a careless caller may have open and what every program that it
// executes inherits: dir, a locked file in it and a socket, each at a low and at a high
// number. The caller must close them. The lock would be held for as long as the command
// runs; with the directory, fchdir(2) leads a process out of its jail.
func OpenOdd(dir string) (fds []int, err error) {
	lock := filepath.Join(dir, oddLock)
	for _, open := range []func() (int, error){
		func() (int, error) { return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0) },
		func() (int, error) { return unix.Open(lock, unix.O_RDWR|unix.O_CREAT, 0o600) },
		func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0) },
	} {
		fd, err := open()
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, highDescriptor)
		if err != nil {
			return fds, err
		}
		fds = append(fds, high)
	}
	return fds, unix.Flock(fds[2], unix.LOCK_EX)
}

// openOdd calls OpenOdd with a new directory and closes the descriptors when the test ends.
func openOdd(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	fds, err := OpenOdd(dir)
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	must.NoError(t, err)
	return dir
}

// CheckCommand returns an error unless the process has only 0, 1 and 2 open, beside what
// Go's runtime opens, and none of them is one that CheckSupervisor refuses. A program that
// starts may have another one open for a moment, as Go's runtime has /proc/self/mountinfo:
// what it inherited stays.
func CheckCommand(pid int) error {
	var err error
	for range 50 {
		if err = checkCommand(pid); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func checkCommand(pid int) error {
	all, err := Descriptors(pid)
	if err != nil {
		return err
	}
	maps.DeleteFunc(all, func(fd int, d Descriptor) bool { return fd > 2 && d.Poller })
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, []int{0, 1, 2}) {
		return fmt.Errorf("process %d has descriptors %d: %+v", pid, got, all)
	}
	return checkInherited(pid, all)
}

// CheckSupervisor returns an error if the process has a directory, a socket or the lock
// file of OpenOdd open. A supervisor outlives the agent that started it, and keeps the
// fifos and files of its task open.
func CheckSupervisor(pid int) error {
	all, err := Descriptors(pid)
	if err != nil {
		return err
	}
	return checkInherited(pid, all)
}

func checkInherited(pid int, all map[int]Descriptor) (err error) {
	if len(all) == 0 {
		return fmt.Errorf("process %d has no descriptors", pid)
	}
	for fd, d := range all {
		if d.Directory || d.Socket || filepath.Base(d.Name) == oddLock {
			err = errors.Join(err, fmt.Errorf("process %d has descriptor %d: %+v", pid, fd, d))
		}
	}
	return err
}

// testDescriptors checks that commands and their supervisors have no descriptors but their
// own, whatever the process that starts them has open. It starts supervisors directly,
// since life.Pots hides their process IDs.
func testDescriptors(t *testing.T, bed Bed) {
	sleep := []string{"/bin/hello", "sleep", "1h"}
	jail := func(t *testing.T) supervise.Jail {
		create(t, bed, spec("web", "sleep", "1h"))
		found, err := bed.Host.Jails.Find(t.Context(), "web")
		must.NoError(t, err)
		openOdd(t)
		return found
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must.NoError(t, err)
	defer null.Close()
	ends := func(t *testing.T, dir string) {
		must.NoError(t, bed.Host.Jails.Remove(t.Context(), "web"))
		s, err := supervise.Open(dir)
		must.NoError(t, err)
		_, err = s.Wait(t.Context())
		must.NoError(t, err)
	}
	for name, bytes := range map[string]int64{"a task's command": 0, "the command of a pot started by hand": 1 << 20} {
		t.Run(name+" has three descriptors, and its supervisor none of the caller's", func(t *testing.T) {
			found, dir := jail(t), t.TempDir()
			out := filepath.Join(dir, "out.log")
			must.NoError(t, os.WriteFile(out, nil, 0o600))
			s, err := supervise.Start(t.Context(), bed.Supervisor, supervise.Task{
				Dir: dir, Jail: found, Argv: sleep, Stdout: out, OutputBytes: bytes,
			})
			must.NoError(t, err)
			must.NoError(t, CheckCommand(s.PID))
			must.NoError(t, CheckSupervisor(s.Supervisor))
			ends(t, dir)
		})
	}
	t.Run("an exec's command has three descriptors", func(t *testing.T) {
		p := &supervise.Process{Jail: jail(t), Argv: sleep, Stdin: null, Stdout: null, Stderr: null, Supervisor: bed.Supervisor}
		command, err := p.Start()
		must.NoError(t, err)
		defer command.Wait()
		defer command.Kill()
		must.NoError(t, CheckCommand(command.Pid))
	})
	// The last check before the jail: whatever opens a directory there is a mistake of this
	// project.
	t.Run("a process with an open directory cannot enter a jail, and the error names it", func(t *testing.T) {
		p := &supervise.Process{Jail: jail(t), Argv: sleep, Stdin: null, Stdout: null, Stderr: null}
		_, err := p.Start()
		must.ErrorContains(t, err, "enter jail: descriptor ")
		must.ErrorContains(t, err, " is an open directory: /")

		root, err := os.Open("/")
		must.NoError(t, err)
		defer root.Close()
		p.Supervisor, p.Stdin = bed.Supervisor, root
		_, err = p.Start()
		must.EqError(t, err, "enter jail: descriptor 0 is an open directory: /")
	})
}
