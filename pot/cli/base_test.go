package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nomad-driver-pot/e2e/base"
	"nomad-driver-pot/pot/hosttest"
)

// supervisorFor builds pot-supervisor once, in dir.
func supervisorFor(dir string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		return hosttest.BuildIn(dir, "nomad-driver-pot/pot/supervise/pot-supervisor")
	})
}

// rooted locks out other tests of hosts until the script ends, and then destroys the pots of
// the script, whatever their state.
func rooted(supervisor func() (string, error)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		program, err := supervisor()
		ts.Check(err)
		unlock, err := hosttest.Lock()
		ts.Check(err)
		s, err := openScratch(ts.MkAbs("."), program)
		if err != nil {
			unlock()
		}
		ts.Check(err)
		for name, value := range s.env() {
			ts.Setenv(name, value)
		}
		ts.Defer(func() {
			defer unlock()
			ts.Check(s.close())
		})
		if hasShellTool() && runtime.GOOS == "freebsd" {
			tool, err := s.copyShellTool()
			ts.Check(err)
			ts.Setenv("SHELLPOT", tool)
		}
	}
}

// until runs a command until it succeeds, for a minute at most.
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

// baseTree makes a tree that a pot can run in.
func baseTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: base DIR [PROGRAM]...")
	}
	ts.Check(makeTree(ts.MkAbs(args[0]), args[1:]...))
}

// makeTree makes a tree with this machine's shell as /bin/sh, and some of its programs, with
// the libraries that they are linked with.
func makeTree(tree string, programs ...string) error {
	put := func(from, to string) error {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		at := filepath.Join(tree, to)
		return errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, data, 0o755))
	}
	for _, name := range append([]string{"sh"}, programs...) {
		program, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		libraries, err := base.Libraries(program)
		if err = errors.Join(err, put(program, "bin/"+name)); err != nil {
			return err
		}
		for _, path := range libraries {
			if err := put(path, path); err != nil {
				return err
			}
		}
	}
	var errs []error
	for _, dir := range []string{"etc", "tmp", "dev", "root"} {
		errs = append(errs, os.MkdirAll(filepath.Join(tree, dir), 0o755))
	}
	return errors.Join(append(errs,
		os.WriteFile(filepath.Join(tree, "etc/passwd"), []byte("root:*:0:0:root:/root:/bin/sh\nwww:*:80:80::/:/bin/sh\n"), 0o644),
		os.WriteFile(filepath.Join(tree, "etc/group"), []byte("wheel:*:0:root\nwww:*:80:\n"), 0o644),
		os.Chmod(filepath.Join(tree, "tmp"), 0o777|os.ModeSticky))...)
}

// hostBytes is about the size of the files that hostBase archives: enough for rc(8), and
// small enough to be compressed on an emulated machine.
const hostBytes = 48 << 20

// hostBase writes an archive of this machine's own files, like an uncompressed base.txz.
func hostBase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hostbase FILE")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	_, err = base.Write(f, hostBytes)
	ts.Check(err)
}
