// Package hosttest is one test suite for every pot.Host: the contract of each interface,
// and what pots do on the host. It runs against pot/linux, and on FreeBSD against
// pot/freebsd, with the same image: the program hello, built for the host's system.
//
// Start reading at Run, which lists the parts of the suite; each part is a function in a
// file of its name. It is not for rules of one host: those are in the host's own tests.
//
// The failures that comments give as reasons were seen with pot's shell scripts, with the
// driver that called them, or with a host's kernel.
package hosttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

// Bed is a host under test. open makes one for each part, so that parts do not see each
// other's pots.
type Bed struct {
	Host       pot.Host
	Dir        string                   // of the state of pots
	Supervisor string                   // path of pot-supervisor
	Tick       time.Duration            // resolution of processor time in usage
	Stream     func() io.Reader         // a ZFS stream of an image with /bin/hello
	State      func(t testing.TB) State // what pots could leave on the machine
}

// State is what a machine has, in words, by kind ("mounts", "links", …). A kind that one
// host does not have is missing there.
type State map[string][]string

// image is the name of the suite's image. It has the form of an imported image's name:
// NAME_TAG with the dots of the tag replaced.
const image = "hello_1_0"

// Run runs the suite against the host that open returns. Each part has a host of its own,
// and fails if it leaves anything behind. The comparison before and after each part is the
// suite's strictest rule: users of pot reported mounts, dying jails and epairs that were
// left behind (issues 6, 150 and 229 of github.com/bsdpot/pot).
func Run(t *testing.T, open func(t testing.TB) Bed) {
	for _, part := range []struct {
		name string
		test func(*testing.T, Bed)
	}{
		{"Images", testImages}, {"Datasets", testDatasets}, {"Snapshots", testSnapshots}, {"Mounts", testMounts}, {"Linked", testLinkedLife}, {"Links", testLinks},
		{"Jails", testJails}, {"Limits", testLimits},
		{"Start", testStart}, {"Container", testContainer}, {"ContainerRefused", testContainerRefused}, {"Ports", testPorts}, {"Private", testPrivate}, {"Joined", testJoined}, {"Shared", testShared}, {"Leftovers", testLeftovers}, {"Attributes", testAttributes}, {"Hooks", testHooks}, {"Exec", testExec}, {"Outputs", testOutputs}, {"Bytes", testBytes}, {"Streams", testStreams}, {"Descriptors", testDescriptors}, {"Inherit", testInherit}, {"Life", testLife}, {"Faults", testFaults}, {"UndoFaults", testUndoFaults},
	} {
		t.Run(part.name, func(t *testing.T) {
			bed := open(t)
			before := bed.State(t)
			t.Cleanup(func() { sameState(t, before, bed.State) })
			receive(t, bed)
			part.test(t, bed)
		})
	}
}

// receive receives the image and destroys it when the test ends. It is a whole zfs send
// stream, as from a server: a tree that was copied in would not test what images go
// through.
func receive(t testing.TB, bed Bed) {
	t.Helper()
	must.NoError(t, bed.Host.Images.Receive(t.Context(), image, bed.Stream()))
	t.Cleanup(func() { must.NoError(t, bed.Host.Images.Destroy(context.Background(), image)) })
}

// sameState fails the test if the machine has something that it did not have before. A
// process has five seconds to end. All else must be gone when the removal has returned: a
// pot of the same name may be created at once.
func sameState(t testing.TB, before State, now func(testing.TB) State) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := now(t).beyond(before)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) || slices.ContainsFunc(left, func(what string) bool { return !strings.HasPrefix(what, "process: ") }) {
			t.Errorf("left behind, %s", strings.Join(left, "; "))
			return
		}
	}
}

// beyond returns what s has and before does not have.
func (s State) beyond(before State) (left []string) {
	for kind, all := range s {
		for _, what := range all {
			if !slices.Contains(before[kind], what) {
				left = append(left, kind+": "+what)
			}
		}
	}
	return left
}

// Build builds the program of package pkg for this system and returns its path.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	program, err := BuildIn(t.TempDir(), pkg)
	must.NoError(t, err)
	return program
}

// BuildIn builds the program of package pkg in dir. If POT_BIN is set, it returns the
// program in that directory instead: a machine that only runs tests has no Go.
func BuildIn(dir, pkg string) (program string, err error) {
	if bin := os.Getenv("POT_BIN"); bin != "" {
		return filepath.Join(bin, filepath.Base(pkg)), nil
	}
	program = filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, text)
	}
	return program, nil
}

// task is a pot under test whose output goes to a file.
type task struct {
	*life.Pot
	pots *life.Pots
	out  string
}

// pots opens the pots of the bed. Each call is like another process: life.Pots keeps
// nothing in memory that must survive it.
func (bed Bed) pots() *life.Pots {
	return life.Open(bed.Host, potconf.Config{
		Dir: bed.Dir, Network: pot.DefaultNetwork, Supervisor: bed.Supervisor,
		Bridges: filepath.Join(bed.Dir, "bridges"),
	})
}

// spec returns a pot of the suite's image that runs hello with args. The label is what a
// driver sets: leftovers are found by it.
func spec(name pot.Name, args ...string) pot.Spec {
	return pot.Spec{
		Name: name, Image: image, Network: pot.NoNetwork,
		Labels:  map[string]string{"nomad.pot:task": string(name)},
		Command: append([]string{"/bin/hello"}, args...),
	}
}

// start creates a pot and starts its command. The pot is destroyed when the test ends. env
// is passed to the command alone, as a task's secrets are.
func start(t testing.TB, bed Bed, s pot.Spec, env ...string) *task {
	t.Helper()
	tk := create(t, bed, s)
	must.NoError(t, tk.Start(t.Context(), env))
	return tk
}

// create creates a pot, which is destroyed when the test ends.
func create(t testing.TB, bed Bed, s pot.Spec) *task {
	t.Helper()
	tk := &task{pots: bed.pots(), out: filepath.Join(t.TempDir(), "out")}
	must.NoError(t, os.WriteFile(tk.out, nil, 0o600))
	s.Stdout, s.Stderr = tk.out, tk.out
	var err error
	tk.Pot, err = tk.pots.Create(t.Context(), s)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, tk.pots.Destroy(context.Background(), s.Name)) })
	return tk
}

// wait waits at most ten seconds for the task's end and returns it. On emulated hardware a
// command may take seconds to end.
func (tk *task) wait(t testing.TB) life.End {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	end, err := tk.Wait(ctx)
	must.NoError(t, err, must.Sprint(tk.output(t)))
	return end
}

// output returns what the task has written.
func (tk *task) output(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(tk.out)
	must.NoError(t, err)
	return string(data)
}

// says waits until the task has written text.
func (tk *task) says(t testing.TB, text string) {
	t.Helper()
	eventually(t, "the task says "+text, func() bool { return strings.Contains(tk.output(t), text) })
}

// eventually waits, at most ten seconds, until ok returns true. It polls: the conditions
// are true in other processes, which cannot notify this one.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not true after ten seconds: %s", what)
		}
	}
}

// exec runs hello in the task's pot and returns its output. It fails the test if hello
// fails.
func (tk *task) exec(t testing.TB, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	exit, err := tk.Exec(t.Context(), life.Exec{
		Argv: append([]string{"/bin/hello"}, args...), Stdout: &out, Stderr: &out,
	})
	must.NoError(t, err)
	must.Eq(t, 0, exit.Code, must.Sprint(out.String()))
	return out.String()
}
