//go:build linux

package linux_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/supervise"
)

// sleepLong is a command that runs until it is killed.
var sleepLong = []string{"/bin/hello", "sleep", "1h"}

// A process that is entering a pot is visible there while it still has the host's files,
// and root of the pot can stop it then. No path of another command leads through it to the
// host.
func TestHost_pathThroughEntering(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, supervisor)
	p, jail := startedPot(t, program)
	pid := enteringProcess(t, jail)
	for _, link := range []string{"root", "cwd"} {
		host := fmt.Sprintf("/proc/%d/%s", pid, link)
		t.Run("the directory of a task's command cannot be /proc/PID/"+link, func(t *testing.T) {
			_, err := startTask(t, program, supervise.Task{Jail: jail, Argv: sleepLong, WorkDir: host})
			must.ErrorContains(t, err, syscall.EACCES.Error())
		})
		t.Run("a task's command cannot be below /proc/PID/"+link, func(t *testing.T) {
			_, err := startTask(t, program, supervise.Task{Jail: jail, Argv: []string{host + program}})
			must.ErrorContains(t, err, syscall.EACCES.Error())
		})
		for name, e := range map[string]life.Exec{
			"the directory of an exec's command": {Argv: []string{"/bin/hello", "exit", "0"}, WorkDir: host},
			"an exec's command":                  {Argv: []string{host + program}},
		} {
			t.Run(name+" cannot be below /proc/PID/"+link, func(t *testing.T) {
				_, err := p.Exec(t.Context(), e)
				must.ErrorContains(t, err, syscall.EACCES.Error())
			})
		}
	}
}

// The supervisor has a control group of version 2 open while the command's directory is
// looked up. Its mount is read-only and shows only the pot's group.
func TestHost_pathThroughControlGroup(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, supervisor)
	_, jail := startedPot(t, program)
	mounted := t.TempDir()
	must.NoError(t, unix.Mount("test", mounted, "cgroup2", 0, ""))
	t.Cleanup(func() { must.NoError(t, unix.Unmount(mounted, 0)) })
	group := filepath.Join(mounted, filepath.Base(filepath.Dir(mounted)))
	must.NoError(t, os.Mkdir(group, 0o755))
	t.Cleanup(func() { must.NoError(t, os.Remove(group)) })
	jail.Cgroups = append(jail.Cgroups, group)
	want, err := os.Stat(group)
	must.NoError(t, err)

	found := 0
	for fd := 3; fd < 40; fd++ {
		s, err := startTask(t, program, supervise.Task{Jail: jail, Argv: sleepLong, WorkDir: fmt.Sprintf("/proc/self/fd/%d/..", fd)})
		if err != nil {
			continue // no directory
		}
		found++
		cwd := fmt.Sprintf("/proc/%d/cwd", s.PID)
		got, err := os.Stat(cwd)
		must.NoError(t, err)
		var fs unix.Statfs_t
		must.NoError(t, unix.Statfs(cwd, &fs))
		must.NoError(t, s.Signal(syscall.SIGKILL))
		_, err = s.Wait(t.Context())
		must.NoError(t, err)
		must.True(t, os.SameFile(want, got), must.Sprintf("descriptor %d leads out of the group", fd))
		must.NotEq(t, 0, fs.Flags&unix.ST_RDONLY)
	}
	must.Positive(t, found)
}

// A command can be inspected by its own user like any other process, and its supervisor has
// the name pot-supervisor.
func TestHost_commandIsVisible(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, supervisor)
	_, jail := startedPot(t, program)
	who := supervise.Identity{UID: 1234, GID: 1234}
	owner := func(t *testing.T, pid int) uint32 {
		info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", pid)) // proc(5), "dumpable"
		must.NoError(t, err)
		return info.Sys().(*syscall.Stat_t).Uid
	}
	t.Run("the supervisor of a task's command has its name", func(t *testing.T) {
		s, err := startTask(t, program, supervise.Task{Jail: jail, Argv: sleepLong, Identity: who})
		must.NoError(t, err)
		must.Eq(t, who.UID, owner(t, s.PID))
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.Supervisor))
		must.NoError(t, err)
		must.Eq(t, "pot-supervisor\n", string(comm))
		must.NoError(t, s.Signal(syscall.SIGKILL))
		_, err = s.Wait(t.Context())
		must.NoError(t, err)
	})
	t.Run("an exec's command is visible to its user", func(t *testing.T) {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		must.NoError(t, err)
		defer null.Close()
		p := &supervise.Process{Jail: jail, Argv: sleepLong, Identity: who, Stdin: null, Stdout: null, Stderr: null, Supervisor: program}
		command, err := p.Start()
		must.NoError(t, err)
		defer command.Wait()
		defer command.Kill()
		must.Eq(t, who.UID, owner(t, command.Pid))
	})
}

// startedPot returns a running pot.
func startedPot(t *testing.T, program string) (*life.Pot, supervise.Jail) {
	t.Helper()
	p, host := hostilePot(t, program, program, t.TempDir(), sleepLong)
	must.NoError(t, p.Start(t.Context(), nil))
	jail, err := host.Jails.Find(t.Context(), "web")
	must.NoError(t, err)
	return p, jail
}

// enteringProcess starts a process that is like one about to enter the jail: in the jail's
// PID namespace, with the host's files and capabilities. It returns its ID in the jail.
func enteringProcess(t *testing.T, jail supervise.Jail) (pid int) {
	t.Helper()
	first, err := unix.PidfdOpen(jail.ID, 0)
	must.NoError(t, err)
	defer unix.Close(first)
	cmd := exec.Command("/bin/cat")
	cmd.Dir = "/"
	stdin, err := cmd.StdinPipe()
	must.NoError(t, err)
	started := make(chan error)
	go supervise.OnOwnThread(func() {
		err := unix.Setns(first, unix.CLONE_NEWPID)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	})
	must.NoError(t, <-started)
	t.Cleanup(func() { stdin.Close(); must.NoError(t, cmd.Wait()) })
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	must.NoError(t, err)
	_, ids, _ := strings.Cut(string(status), "\nNSpid:")
	ids, _, _ = strings.Cut(ids, "\n")
	_, err = fmt.Sscan(ids[strings.LastIndexByte(ids, '\t')+1:], &pid)
	must.NoError(t, err)
	return pid
}

// startTask starts a command, which the caller must end.
func startTask(t *testing.T, program string, task supervise.Task) (*supervise.Supervised, error) {
	t.Helper()
	task.Dir = t.TempDir()
	if _, err := supervise.Start(t.Context(), program, task); err != nil {
		return nil, err
	}
	return supervise.Open(task.Dir)
}
