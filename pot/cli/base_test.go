package cli_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/native"
)

// supervisorFor builds pot-supervisor once, in dir.
func supervisorFor(dir string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		return hosttest.BuildIn(dir, "nomad-driver-pot/pot/supervise/pot-supervisor")
	})
}

// rooted keeps the tests of hosts away until the script ends, whose pots are then
// taken away, whatever has become of it.
func rooted(supervisor func() (string, error)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		program, err := supervisor()
		ts.Check(err)
		unlock, err := hosttest.Lock()
		ts.Check(err)
		dir := ts.MkAbs("state")
		ts.Setenv("POT_DIR", dir)
		ts.Setenv("POT_CONFIG", ts.MkAbs("etc/pot/pot.conf"))
		ts.Setenv("POT_SUPERVISOR", program)
		ts.Defer(func() {
			defer unlock()
			ts.Check(sweep(dir, program))
		})
	}
}

// sweep takes away the pots that are kept in dir, and what is mounted there.
func sweep(dir, supervisor string) error {
	host, err := native.Open(pot.HostConfig{Dir: dir, Supervisor: supervisor, Network: pot.DefaultNetwork})
	if err != nil {
		return err
	}
	ps := pot.Open(host, pot.Config{Dir: dir, Network: pot.DefaultNetwork, Supervisor: supervisor})
	names, err := ps.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ps.Destroy(context.Background(), name); err != nil {
			return err
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if on := strings.Fields(line)[1]; strings.HasPrefix(on, dir+"/") {
			if err := exec.Command("umount", "-l", on).Run(); err != nil {
				return err
			}
		}
	}
	return nil
}

// until runs a command until it ends well, for a minute at most.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: until COMMAND...")
	}
	for deadline := time.Now().Add(time.Minute); ts.Exec(args[0], args[1:]...) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not end well", args[0])
		}
	}
}

// base makes a tree that a pot can run in: this machine's shell, for /bin/sh, and
// programs of its own, with what they are linked with.
func base(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: base DIR [PROGRAM]...")
	}
	if runtime.GOOS != "linux" {
		ts.Fatalf("base: is for linux alone")
	}
	tree := ts.MkAbs(args[0])
	put := func(from, to string) {
		data, err := os.ReadFile(from)
		ts.Check(err)
		at := filepath.Join(tree, to)
		ts.Check(os.MkdirAll(filepath.Dir(at), 0o755))
		ts.Check(os.WriteFile(at, data, 0o755))
	}
	for _, name := range append([]string{"sh"}, args[1:]...) {
		program, err := exec.LookPath(name)
		ts.Check(err)
		put(program, "bin/"+name)
		libraries, err := exec.Command("ldd", program).CombinedOutput()
		if err != nil && !strings.Contains(string(libraries), "not a dynamic") {
			ts.Fatalf("ldd %s: %v: %s", program, err, libraries)
		}
		for word := range strings.FieldsSeq(string(libraries)) {
			if strings.HasPrefix(word, "/") && err == nil {
				put(strings.TrimSuffix(word, ":"), word)
			}
		}
	}
	for _, dir := range []string{"etc", "tmp", "dev", "root"} {
		ts.Check(os.MkdirAll(filepath.Join(tree, dir), 0o755))
	}
	ts.Check(os.WriteFile(filepath.Join(tree, "etc/passwd"), []byte("root:*:0:0:root:/root:/bin/sh\nwww:*:80:80::/:/bin/sh\n"), 0o644))
	ts.Check(os.WriteFile(filepath.Join(tree, "etc/group"), []byte("wheel:*:0:root\nwww:*:80:\n"), 0o644))
	ts.Check(os.Chmod(filepath.Join(tree, "tmp"), 0o777|os.ModeSticky))
}
