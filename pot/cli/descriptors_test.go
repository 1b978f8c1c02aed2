package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/native"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/supervise"
)

// odd executes a command with open descriptors that are not for it, and with any other state
// that a careless parent process may leave.
func odd() {
	_, err := hosttest.OpenOdd(os.TempDir())
	if err == nil {
		err = hosttest.BecomeOdd()
	}
	if err == nil {
		var path string
		if path, err = exec.LookPath(os.Args[1]); err == nil {
			err = syscall.Exec(path, os.Args[1:], os.Environ())
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// inherits, which is always negated, fails if the command of a pot, its supervisor or, on
// Linux, its jail's first process has inherited an open descriptor.
func inherits(ts *testscript.TestScript, neg bool, args []string) {
	if !neg || len(args) != 1 {
		ts.Fatalf("usage: ! inherits POT")
	}
	dir := ts.Getenv("POT_DIR")
	s, err := supervise.Open(filepath.Join(dir, "pots", args[0]))
	ts.Check(err)
	ts.Check(hosttest.CheckCommand(s.PID))
	ts.Check(hosttest.CheckSupervisor(s.Supervisor))
	if native.Name != "linux" {
		return
	}
	host, err := native.Open(potconf.HostConfig{Dir: dir, Supervisor: ts.Getenv("POT_SUPERVISOR"), Network: pot.DefaultNetwork})
	ts.Check(err)
	jail, err := host.Jails.Find(context.Background(), pot.Name(args[0]))
	ts.Check(err)
	ts.Check(hosttest.CheckSupervisor(jail.ID))
}
