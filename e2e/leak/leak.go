// Package leak finds what tests leave behind: goroutines, open descriptors, child
// processes, threads in other namespaces, and below the directory of temporary
// files mounts and files.
//
// What it looks at is this process's own, so that the tests of several packages
// can run at the same time. What pots could leave on the machine is for package
// machine to find.
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

// within is how long what is ending may take to be gone: connections that were
// hung up, processes that were killed.
const within = 5 * time.Second

// Run runs all tests of a package, in a directory for temporary files of its own.
// It returns the process's exit status: 1 if something is left, also when all
// tests have passed.
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

// checked are the tests that Check was called for.
var checked sync.Map

// Check fails the test if something is left when it has ended, and with it all
// that it has to clean up from here on. It may be called again: the first counts.
// Files are looked for if Run runs the tests, and are those of a whole test, which has
// called this before anything else.
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

// Option is what is not looked for.
type Option int

// Foreign are goroutines with nothing of this project in them, and sockets: of a
// harness that is another's, and does not end all that it begins.
const Foreign Option = 1

// state is what there was before.
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

// left is what there is now and was not before, when it has had the time to go.
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

// stacks are those of the goroutines that are left.
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

// files are those below dir, not looking into what is left as a whole.
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
