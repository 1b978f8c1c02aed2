package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/plugins/base"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

// TestMain makes this test binary the plugin if go-plugin's cookie is set, and an agent if
// agentSteps is.
func TestMain(m *testing.M) {
	if h := base.Handshake; os.Getenv(h.MagicCookieKey) == h.MagicCookieValue {
		main()
		return
	}
	if _, set := os.LookupEnv(agentSteps); set {
		if err := agent(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(leak.Run(m.Run))
}

// An agent that has a directory, a lock file and a socket open, and another umask, loads the
// plugin. The plugin marks the descriptors close-on-exec, sets its own umask, and answers.
func TestPlugin(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	odd := make([]*os.File, 0, 200)
	directory, err := os.Open(dir)
	must.NoError(t, err)
	lock, err := os.Create(filepath.Join(dir, "lock"))
	must.NoError(t, err)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must.NoError(t, err)
	socket := os.NewFile(uintptr(fd), "socket")
	odd = append(odd, directory, lock, socket)
	for len(odd) < cap(odd)-1 {
		odd = append(odd, nil)
	}
	odd = append(odd, directory)
	t.Cleanup(func() {
		for _, f := range []*os.File{directory, lock, socket} {
			must.NoError(t, f.Close())
		}
	})

	self, err := os.Executable()
	must.NoError(t, err)
	defer syscall.Umask(syscall.Umask(0o077))
	cmd := exec.Command(self)
	cmd.ExtraFiles = odd
	client := newClient(cmd, nil)
	t.Cleanup(client.Kill)
	plugin, err := dispense(client)
	must.NoError(t, err)
	info, err := plugin.PluginInfo()
	must.NoError(t, err)
	must.Eq(t, "pot", info.Name)

	need.Have(t, "procfs", exists("/proc/self/fdinfo"))
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
	must.NoError(t, err)
	must.StrContains(t, string(status), "\nUmask:\t0022\n")
	for _, fd := range []int{3, 4, 5, 202} {
		must.True(t, closedOnExec(t, cmd.Process.Pid, fd), must.Sprintf("descriptor %d is not marked", fd))
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// closedOnExec reports whether a descriptor of another process is closed on exec (proc(5),
// fdinfo).
func closedOnExec(t *testing.T, pid, fd int) bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "fdinfo", strconv.Itoa(fd)))
	must.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		if octal, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			must.NoError(t, err)
			return flags&syscall.O_CLOEXEC != 0
		}
	}
	t.Fatal("no flags")
	return false
}
