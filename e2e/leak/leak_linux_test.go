package leak

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot/supervise"
)

// leaks has one leak of each kind: how it is created, and removed again.
var leaks = []struct {
	kind string
	root bool
	make func(t *testing.T, dir string) (undo func())
}{
	{"goroutine", false, func(*testing.T, string) func() {
		end, ended := make(chan bool), make(chan bool)
		go func() { <-end; close(ended) }()
		return func() { close(end); <-ended }
	}},
	{"descriptor", false, func(t *testing.T, _ string) func() {
		r, w, err := os.Pipe()
		must.NoError(t, err)
		return func() { r.Close(); w.Close() }
	}},
	{"child process", false, func(t *testing.T, _ string) func() {
		cmd := exec.Command("sleep", "1000")
		must.NoError(t, cmd.Start())
		return func() { cmd.Process.Kill(); cmd.Wait() }
	}},
	{"file", false, func(t *testing.T, dir string) func() {
		must.NoError(t, os.WriteFile(dir+"/x", nil, 0o600))
		return func() { os.Remove(dir + "/x") }
	}},
	{"mount", true, func(t *testing.T, dir string) func() {
		must.NoError(t, os.Mkdir(dir+"/m", 0o700))
		must.NoError(t, unix.Mount("tmpfs", dir+"/m", "tmpfs", 0, ""))
		return func() { unix.Unmount(dir+"/m", 0); os.Remove(dir + "/m") }
	}},
	{"thread in namespace net:", true, func(t *testing.T, _ string) func() {
		end, ready := make(chan bool), make(chan error)
		go supervise.OnOwnThread(func() {
			ready <- unix.Unshare(unix.CLONE_NEWNET)
			<-end
		})
		must.NoError(t, <-ready)
		return func() { close(end) }
	}},
}

func TestState_left(t *testing.T) {
	for _, l := range leaks {
		t.Run("a "+l.kind+" is found, and its end", func(t *testing.T) {
			if l.root {
				need.Have(t, "root", os.Geteuid() == 0)
			}
			dir := t.TempDir()
			before := take(dir, nil)
			must.SliceEmpty(t, before.left())
			undo := l.make(t, dir)
			found := before.now()
			undo()
			must.StrContains(t, strings.Join(found, "\n"), l.kind)
			must.SliceEmpty(t, before.left())
		})
	}
}

// What is another's is let pass where that is asked for, and nothing of ours.
func TestForeign(t *testing.T) {
	before := take(t.TempDir(), []Option{Foreign})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer l.Close()
	must.SliceEmpty(t, before.left())
	end := make(chan bool)
	go func() { <-end }()
	found := before.now()
	close(end)
	must.Len(t, 1, found)
	must.StrContains(t, found[0], "TestForeign")
}

// recorder is a test whose failure is looked at.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   string
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failed += fmt.Sprintf(format, args...)
}

func TestCheck(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // other packages' tests mount below the machine's
	leaky := &recorder{}
	Check(leaky)
	Check(leaky)
	must.Len(t, 1, leaky.cleanups)
	f, err := os.Open(os.DevNull)
	must.NoError(t, err)
	leaky.cleanups[0]()
	must.StrContains(t, leaky.failed, "on /dev/null")

	clean := &recorder{}
	Check(clean)
	must.NoError(t, f.Close())
	clean.cleanups[0]()
	must.Eq(t, "", clean.failed)
}

func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	outside := os.TempDir()
	must.Eq(t, 1, Run(func() int { return 1 }))
	t.Setenv("TMPDIR", outside)
	must.Eq(t, 0, Run(func() int {
		must.NotEq(t, outside, os.TempDir())
		return 0
	}))
	t.Setenv("TMPDIR", outside)
	must.Eq(t, 1, Run(func() int {
		must.NoError(t, os.WriteFile(filepath.Join(os.TempDir(), "left"), nil, 0o600))
		return 0
	}))
}
