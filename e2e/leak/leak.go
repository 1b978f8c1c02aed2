// Package leak finds what tests leave behind: goroutines, open descriptors, child
// processes, threads in other namespaces, and, below the directory for temporary files,
// mounts and files.
//
// It looks only at this process, so that tests of several packages can run at the same
// time; what pots leave on the machine is found by package machine. Each test begins with
// Check; TestMain of each package calls Run.
package leak

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// within is how long connections that were closed and processes that were killed may take
// to be gone.
const within = 5 * time.Second

// Run runs all tests of a package, with a directory for temporary files of its own. It
// returns the process's exit status, which is 1 if anything is left, even if all tests have
// passed.
func Run(tests func() int, o ...Option) int {
	dir, err := os.MkdirTemp("", "t") // short: names of sockets are bounded
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	before := take(dir, o)
	own = dir
	code := tests()
	left := before.left()
	if len(left) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: the tests have left behind:\n%s\n", strings.Join(left, "\n"))
		return 1
	}
	if err := os.Remove(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// own is the directory that Run has made.
var own string

// checked has the tests that called Check.
var checked sync.Map

// Check fails the test if anything is left when the test has ended and has run its later
// cleanups. Only the first call in a test counts. Check looks for files only if Run runs
// the tests, and only in a whole test that calls it first.
func Check(t testing.TB, o ...Option) {
	t.Helper()
	if _, again := checked.LoadOrStore(t, true); again {
		return
	}
	before := take(os.TempDir(), o)
	if own == "" || strings.Contains(t.Name(), "/") {
		before.files = nil // others' are there too, or the test's own directories go later
	}
	t.Cleanup(func() {
		checked.Delete(t)
		if left := before.left(); len(left) > 0 {
			t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
		}
	})
}

// Option excludes something from the check.
type Option int

// Foreign excludes sockets, and goroutines without a function of this project: for a test
// harness of another project that does not end all that it starts.
const Foreign Option = 1

// state is what existed before a test.
type state struct {
	dir        string
	foreign    bool // is left out
	goroutines goleak.Option
	files      map[string]bool // nil: they are not looked at
	process    []string        // what this process has: of each system
}

func take(dir string, o []Option) state {
	return state{
		dir:        dir,
		foreign:    slices.Contains(o, Foreign),
		goroutines: goleak.IgnoreCurrent(),
		files:      files(dir),
		process:    process(dir),
	}
}

// left returns what exists now and did not exist before, after it had time to go.
func (s state) left() (left []string) {
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		if left = s.now(); len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

func (s state) now() (left []string) {
	for _, what := range process(s.dir) {
		if !slices.Contains(s.process, what) && !(s.foreign && strings.Contains(what, " on socket:")) {
			left = append(left, what)
		}
	}
	if s.files != nil {
		for file := range files(s.dir) {
			if !s.files[file] {
				left = append(left, "file "+file)
			}
		}
	}
	slices.Sort(left)
	return append(left, s.stacks()...)
}

// stacks returns the stacks of the goroutines that are left.
func (s state) stacks() []string {
	err := goleak.Find(s.goroutines)
	if err == nil {
		return nil
	}
	all := strings.Split(err.Error(), "Goroutine ")[1:]
	if s.foreign {
		all = slices.DeleteFunc(all, func(stack string) bool { return !strings.Contains(stack, ours) })
	}
	for i := range all {
		all[i] = "goroutine " + strings.TrimSpace(all[i])
	}
	return all
}

// ours begins the names of this project's functions.
const ours = "nomad-driver-pot/"

// files returns the files below dir. A directory that is left is listed without its
// content.
func files(dir string) map[string]bool {
	all := map[string]bool{}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			all[path] = true
		}
		return nil
	})
	return all
}
