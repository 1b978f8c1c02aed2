package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot/cli"
)

// The scripts run this test binary under both names of the program.
func TestMain(m *testing.M) {
	run := func() {
		countCommands()
		os.Exit(cli.Main(os.Args, os.Stdout, os.Stderr))
	}
	testscript.Main(unleaking{m}, map[string]func(){"pot": run, "nomad-driver-pot": run, "odd": odd})
}

// unleaking runs the tests and checks that they leave nothing behind.
type unleaking struct{ *testing.M }

func (m unleaking) Run() int { return leak.Run(m.M.Run) }

// TestScripts tests the commands by the scripts in testdata/script. Beside testscript's own
// commands they have:
//
//	exits STATUS COMMAND...  runs a command that ends with that status
//	pack FILE...             makes an image FILE.xz of a file, with .meta and .skein
//	container DIR TAG OS/ARCH [bare|ARCHIVE]  adds a container image to a layout, and makes DIR.tar of it
//	asked FILE               waits until the server was asked for it
//	until COMMAND...         runs a command until it succeeds
//	rooted                   locks out other tests of hosts, and destroys pots at the end
//	base DIR [PROGRAM]...    makes a tree with a shell and programs of this machine
//	! inherits POT           fails if a process of a pot has inherited a descriptor
//	decodes COMMAND          fails unless stdout is JSON of the type for the command
//	hostbase FILE            makes an archive of this machine's own files
//
// The program odd COMMAND... executes a command with open descriptors of a directory, a lock
// file and a socket, and with an unusual umask, limits, signals and priorities.
//
// $IMAGES, $STREAMS and $KEYS are directories of fixtures. $URL is a server with an exported
// image, $HELLO; the same without its .meta, bare_1.0.xz; and one whose download never ends,
// stalled_1.0.xz. Images can be published to $SHELF with the token s3cret. rooted sets $DB,
// the directory of the pots' records, $ZFS_ROOT, and $SHELLPOT, the shell tool.
//
// The additional conditions are root; limits, if the kernel limits pots; and shelltool, if
// the shell tool is installed.
func TestScripts(t *testing.T) {
	leak.Check(t)
	t.Cleanup(func() { // testscript's own, of which it loses count when not all stories are run
		found, err := filepath.Glob(filepath.Join(os.TempDir(), "go-test-script*"))
		must.NoError(t, err)
		for _, dir := range found {
			must.NoError(t, os.Remove(dir)) // it is empty
		}
	})
	server := imagetest.NewServer(t)
	server.Put("bare_1.0.xz", imagetest.Hello(""))
	server.Put("bare_1.0.xz.skein", imagetest.Skein(imagetest.Hello(""), nil))
	server.Add("stalled", "1.0", imagetest.Hello(""), imagetest.NoMeta)
	server.Fail("stalled_1.0.xz", imagetest.Stall())

	shelf := imagetest.NewTarget(t)
	shelf.RequireHeader = "Authorization: Bearer s3cret"
	env := map[string]string{"SHELF": shelf.URL, "URL": server.URL, "HELLO": imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"}
	for name, dir := range map[string]string{
		"IMAGES": "../../image/imagetest/testdata", "STREAMS": "../../image/zstream/testdata", "KEYS": "../../image/signify/testdata",
	} {
		abs, err := filepath.Abs(dir)
		must.NoError(t, err)
		env[name] = abs
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for name, value := range env {
				e.Setenv(name, value)
			}
			e.Setenv("GORACE", os.Getenv("GORACE")) // else each command sleeps for a second at its end
			return nil
		},
		Condition: func(what string) (bool, error) {
			switch what {
			case "root":
				return os.Geteuid() == 0, nil
			case "limits":
				return hasLimits(), nil
			case "shelltool":
				return runtime.GOOS == "freebsd" && hasShellTool(), nil
			}
			return false, errors.New("no such condition: " + what)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"rooted":   rooted(supervisorFor(t.TempDir())),
			"base":     baseTree,
			"hostbase": hostBase,
			"inherits": inherits,
			"until":    until,
			"decodes":  decodes,
			"pack":     pack,

			"container": container,
			"damage":    damage,

			"asked": func(ts *testscript.TestScript, _ bool, args []string) { asked(ts, server, args[0]) },
		},
	})
}

// hasLimits reports whether the kernel limits pots: on FreeBSD, by rctl(8).
func hasLimits() bool {
	if runtime.GOOS != "freebsd" {
		return true
	}
	out, err := exec.Command("/sbin/sysctl", "-n", "kern.racct.enable").Output()
	return err == nil && string(out) == "1\n"
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	status := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		status = exit.ExitCode()
	default:
		ts.Check(err)
	}
	if status != want {
		ts.Fatalf("exit status %d, not %d", status, want)
	}
}

func pack(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		xz := imagetest.XZ([]byte(ts.ReadFile(name)))
		for ending, b := range map[string][]byte{
			".xz": xz, ".xz.meta": []byte(imagetest.NoMeta), ".xz.skein": imagetest.Skein(xz, []byte(imagetest.NoMeta)),
		} {
			ts.Check(os.WriteFile(ts.MkAbs(name+ending), b, 0o600))
		}
	}
}

func asked(ts *testscript.TestScript, server *imagetest.Server, file string) {
	for deadline := time.Now().Add(time.Minute); server.Gets(file) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("nobody asked for %s", file)
		}
	}
}
