package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	dtestutil "github.com/hashicorp/nomad/plugins/drivers/testutils"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestDriver_ExecTask(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, "network_mode = \"none\"\nwork_dir = \"/local\"\nhostname = \"inside\"", "sleep", "1h")
	cfg.User = "web"
	b.start(t, cfg)
	hello := func(args ...string) []string { return append([]string{"/bin/hello"}, args...) }

	t.Run("a command runs as the task's user, in its directory", func(t *testing.T) {
		must.StrHasPrefix(t, "host inside uid 80 gid 80 ", b.exec(t, cfg.ID, "id"))
		must.StrContains(t, b.exec(t, cfg.ID, "id"), "cwd /local\n")
	})

	t.Run("an exit code other than 0 is not an error", func(t *testing.T) {
		r, err := b.ExecTask(cfg.ID, hello("exit", "4"), time.Minute)
		must.NoError(t, err)
		must.Eq(t, 4, r.ExitResult.ExitCode)
	})

	t.Run("the end of a long output is kept", func(t *testing.T) {
		out := b.exec(t, cfg.ID, "flood", "10000")
		must.Eq(t, drivers.CheckBufSize, len(out))
		must.StrHasSuffix(t, "line 9998\nline 9999\n", out)
	})

	t.Run("a command is killed at its timeout", func(t *testing.T) {
		began := time.Now()
		_, err := b.ExecTask(cfg.ID, hello("sleep", "1h"), 300*time.Millisecond)
		must.ErrorContains(t, err, "cannot run command in task: killed after 300ms")
		must.Less(t, 3*time.Second, time.Since(began))
	})

	t.Run("a command that does not exist is an error", func(t *testing.T) {
		_, err := b.ExecTask(cfg.ID, []string{"/bin/nothing"}, time.Minute)
		must.ErrorContains(t, err, "/bin/nothing")
	})

	t.Run("no command is an error", func(t *testing.T) {
		_, err := b.ExecTask(cfg.ID, nil, time.Minute)
		must.ErrorContains(t, err, "cannot run command in task: no command")
	})

	t.Run("a task that has ended runs no command", func(t *testing.T) {
		must.NoError(t, b.StopTask(cfg.ID, time.Second, ""))
		b.wait(t, cfg.ID)
		_, err := b.ExecTask(cfg.ID, hello("id"), time.Minute)
		must.ErrorContains(t, err, "cannot run command in task: the task has ended")
	})
}

// stream runs a command by ExecTaskStreaming, and returns its exit code and outputs.
func (b *bed) stream(t *testing.T, id string, tty bool, stdin io.ReadCloser, argv ...string) (int, string, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	sizes := make(chan drivers.TerminalSize, 1)
	sizes <- drivers.TerminalSize{Height: 24, Width: 80}
	r, err := b.driver.ExecTaskStreaming(ctx, id, &drivers.ExecOptions{
		Command: argv, Tty: tty, Stdin: stdin, ResizeCh: sizes,
		Stdout: closer{&stdout}, Stderr: closer{&stderr},
	})
	must.NoError(t, err)
	return r.ExitCode, stdout.String(), stderr.String()
}

type closer struct{ io.Writer }

func (closer) Close() error { return nil }

func TestDriver_ExecTaskStreaming(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.sleeper(t)

	t.Run("input and both outputs pass through", func(t *testing.T) {
		in := io.NopCloser(strings.NewReader("some input\n"))
		code, stdout, stderr := b.stream(t, cfg.ID, false, in, "/bin/hello", "tee")
		must.Eq(t, []any{0, "some input\n", ""}, []any{code, stdout, stderr})
		code, stdout, stderr = b.stream(t, cfg.ID, false, in, "/bin/hello", "nothing")
		must.Eq(t, []any{64, "", "hello: no such thing: nothing\n"}, []any{code, stdout, stderr})
	})

	t.Run("a terminal echoes, and the command ends though its input does not", func(t *testing.T) {
		in, out := io.Pipe()
		go out.Write([]byte("typed\n\x04"))
		code, stdout, _ := b.stream(t, cfg.ID, true, in, "/bin/hello", "tee")
		must.Eq(t, 0, code)
		// FreeBSD shows the end of input, and takes it back: stty(1), echoctl.
		must.Eq(t, "typed\r\ntyped\r\n", strings.ReplaceAll(stdout, "^D\b\b", ""))
		eventually(t, func() error {
			_, err := out.Write([]byte("x"))
			if err == nil {
				return fmt.Errorf("input is still taken")
			}
			return nil
		})
	})

	t.Run("an error that is too long for Nomad's agent is cut in its middle", func(t *testing.T) {
		_, err := b.driver.ExecTaskStreaming(t.Context(), cfg.ID, &drivers.ExecOptions{
			Command: []string{"/bin/" + strings.Repeat("nothing/", 30)}, Stdout: closer{io.Discard}, Stderr: closer{io.Discard},
		})
		must.Error(t, err)
		must.LessEq(t, maxStreamError, len(err.Error()), must.Sprint(err))
		must.StrHasPrefix(t, "cannot run command in task", err.Error())
		must.StrHasSuffix(t, "not in the pot: file does not exist", err.Error())
	})

	t.Run("a command ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		in, _ := io.Pipe()
		_, err := b.driver.ExecTaskStreaming(ctx, cfg.ID, &drivers.ExecOptions{
			Command: []string{"/bin/hello", "sleep", "1h"}, Stdin: in, Stdout: closer{io.Discard}, Stderr: closer{io.Discard},
		})
		must.ErrorContains(t, err, "deadline exceeded")
	})
}

// The driver passes Nomad's own tests of ExecTaskStreaming. They need a shell, which is
// mounted from this machine. TestExecFSIsolation is not run: it looks for control groups
// that Nomad makes.
func TestDriver_ExecTaskStreaming_conformance(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "volumes { enabled = true }")
	var mounts []string
	for _, dir := range []string{"/bin", "/usr", "/lib", "/lib64", "/libexec"} {
		if _, err := os.Stat(dir); err == nil {
			mounts = append(mounts, dir+":"+dir)
		}
	}
	text, err := json.Marshal(mounts)
	must.NoError(t, err)
	cfg := b.task(t, fmt.Sprintf(`
		network_mode    = "none"
		mount_read_only = %s
		command         = "/bin/sleep"
		args            = ["1h"]`, text))
	b.start(t, cfg)
	if runtime.GOOS == "freebsd" { // its stty(1) has another message
		for i, c := range dtestutil.ExecTaskStreamingBasicCases {
			if c.Name == "notty: stty check" {
				dtestutil.ExecTaskStreamingBasicCases[i].Stderr = regexp.MustCompile("stty: stdin isn't a terminal\n")
			}
		}
	}
	h := dtestutil.NewDriverHarness(t, remote{b.driver, b.DriverPlugin.(drivers.ExecTaskStreamingRawDriver)})
	dtestutil.TestExecTaskStreamingBasicResponses(t, h, cfg.ID)

	t.Run("a session ends with its leader, though a background process holds the terminal", func(t *testing.T) {
		begun := time.Now()
		code, stdout, _ := b.stream(t, cfg.ID, true, nil, "/bin/sh", "-c",
			"trap '' HUP; ( ( sleep 5; echo late ) & ); echo main; exit 3")
		must.Eq(t, []any{3, "main\r\n"}, []any{code, stdout})
		must.Less(t, 3*time.Second, time.Since(begun))
	})
}

// remote is a driver whose streams go through a plugin's client. Nomad's tests would call
// the driver directly.
type remote struct {
	*Driver
	drivers.ExecTaskStreamingRawDriver
}

func TestShortened(t *testing.T) {
	leak.Check(t)
	short := errors.New("no such file")
	must.Eq(t, short, shortened(short, 12))
	must.EqError(t, shortened(errors.New("exec: 0123456789012345: no such file"), 21), "exec: …no such file")
	must.EqError(t, shortened(errors.New("éééééééééé"), 11), "é…ééé")
	must.EqError(t, shortened(errors.Join(errors.New("one, which is long"), errors.New("two")), 13), "one…ng; two")
}
