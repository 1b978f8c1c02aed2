//go:build linux

package linux_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/linux"
	"nomad-driver-pot/pot/potconf"
)

// again is a script whose interpreter is whatever program executes it. pot-supervisor
// executes it again, and so on: the process runs from the host's file until it is killed.
const again = "#!/proc/self/exe host\n"

// A pot cannot change the host's pot-supervisor, which a process runs from until it
// executes its command, although an image can make the process execute itself.
func TestHost_overwriteSupervisor(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	built, hostile := hosttest.Build(t, supervisor), t.TempDir()
	must.NoError(t, os.Rename(hosttest.Build(t, "nomad-driver-pot/pot/linux/testdata/overwrite"), filepath.Join(hostile, "overwrite")))
	must.NoError(t, os.WriteFile(filepath.Join(hostile, "again"), []byte(again), 0o755))
	must.NoError(t, os.Symlink("/proc/self/exe", filepath.Join(hostile, "link")))
	t.Run("a program on a read-only mount cannot be changed", func(t *testing.T) { overwriteSupervisor(t, built, hostile, t.TempDir(), syscall.EROFS) })
	t.Run("a copy in memory cannot be changed", func(t *testing.T) {
		unbindable := t.TempDir() // that is no mount's to copy
		must.NoError(t, unix.Mount("test", unbindable, "tmpfs", 0, "size=32m"))
		t.Cleanup(func() { must.NoError(t, unix.Unmount(unbindable, 0)) })
		must.NoError(t, unix.Mount("", unbindable, "", unix.MS_UNBINDABLE, ""))
		overwriteSupervisor(t, built, hostile, unbindable, syscall.EPERM)
	})
}

// overwriteSupervisor is TestHost_overwriteSupervisor with the program in dir. A write must
// fail with want.
func overwriteSupervisor(t *testing.T, built, hostile, dir string, want syscall.Errno) {
	program := filepath.Join(dir, "pot-supervisor")
	for name, test := range map[string]struct{ task, exec []string }{
		"a task's command is the program that executes it": {task: []string{"/proc/self/exe", "host", "/hostile/again"}},
		"a task's command is a script for it":              {task: []string{"/hostile/again"}},
		"one more command is the program that executes it": {sleepLong, []string{"/proc/self/exe", "host", "/hostile/again"}},
		"one more command is a script for it":              {sleepLong, []string{"/hostile/again"}},
		"one more command is a link to it":                 {sleepLong, []string{"/hostile/link", "host", "/hostile/again"}},
	} {
		t.Run(name, func(t *testing.T) {
			install(t, built, program)
			p, _ := hostilePot(t, built, program, hostile, test.task)
			must.NoError(t, p.Start(t.Context(), nil))
			if test.exec != nil {
				// Most kernels let nobody write to a file that a process runs from, such as
				// the supervisor of the task: it is another since the host has been upgraded.
				install(t, built, program)
			}
			before, err := os.Stat(program)
			must.NoError(t, err)
			said := attack(t, p, test.exec)
			must.NoError(t, p.Destroy(t.Context()))

			for _, try := range []string{"write", "truncate"} {
				must.StrContains(t, said, try+": "+want.Error()+"\n")
			}
			after, err := os.Stat(program)
			must.NoError(t, err)
			must.Eq(t, before.Sys().(*syscall.Stat_t).Ctim, after.Sys().(*syscall.Stat_t).Ctim, must.Sprint("the host's file was changed"))
			must.True(t, bytes.Equal(read(t, built), read(t, program)))
		})
	}
}

// Nor can a pot change it through its first process, which all processes of the pot see.
func TestHost_overwriteFirst(t *testing.T) {
	leak.Check(t)
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	_, jail := startedPot(t, hosttest.Build(t, supervisor))
	must.ErrorIs(t, os.Chmod(fmt.Sprintf("/proc/%d/exe", jail.ID), 0o700), syscall.EROFS)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must.NoError(t, err)
	return data
}

// install puts a copy of the program at path, as install(1) does.
func install(t *testing.T, program, path string) {
	t.Helper()
	must.NoError(t, os.WriteFile(path+".new", read(t, program), 0o755))
	must.NoError(t, os.Rename(path+".new", path))
}

// hostilePot creates a pot with that command and with the directory as /hostile. Its first
// process runs from first, and commands enter it by program.
func hostilePot(t *testing.T, first, program, hostile string, command []string) (*life.Pot, pot.Host) {
	t.Helper()
	dir := t.TempDir()
	host, err := linux.New(dir, first)
	must.NoError(t, err)
	must.NoError(t, host.Images.Receive(t.Context(), "hello", xz.NewReader(bytes.NewReader(imagetest.Hello("")))))
	pots := life.Open(host, potconf.Config{Dir: dir, Network: pot.DefaultNetwork, Supervisor: program})
	p, err := pots.Create(t.Context(), pot.Spec{
		Name: "web", Image: "hello", Network: pot.NoNetwork, Command: command,
		Mounts: []pot.Mount{{Source: hostile, Target: "/hostile"}},
	})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, pots.Destroy(context.Background(), "web")) })
	return p, host
}

// attack runs the image's program in the pot while command, if it is set, runs beside it,
// and returns what the program printed.
func attack(t *testing.T, p *life.Pot, command []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, w := io.Pipe()
	defer r.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Exec(ctx, life.Exec{Argv: []string{"/hostile/overwrite", "/bin/hello"}, Stdout: w})
		ended <- err
		w.CloseWithError(err)
	}()
	var said strings.Builder
	if command != nil {
		_, err := io.CopyN(&said, r, int64(len("ready\n")))
		must.NoError(t, err)
		victim, err := p.Exec(ctx, life.Exec{Argv: command, Stdout: os.Stderr, Stderr: os.Stderr})
		must.NoError(t, err)
		must.Eq(t, int(syscall.SIGKILL), victim.Signal)
	}
	_, err := io.Copy(&said, r)
	must.NoError(t, err, must.Sprint(said.String()))
	must.NoError(t, <-ended)
	return said.String()
}
