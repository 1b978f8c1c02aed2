package life

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/syncbuf"
	"nomad-driver-pot/pot/supervise"
)

// runStreams runs a script in this machine's shell, connected as Pot.Exec connects a
// command, and returns its exit code.
func runStreams(ctx context.Context, e Exec, script string) (int, error) {
	var p supervise.Process
	connect := pipes
	if e.Terminal {
		connect = terminal
	}
	s, err := connect(&p, &e)
	if err != nil {
		return 0, err
	}
	defer s.close()
	command, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{
		Files: []*os.File{p.Stdin, p.Stdout, p.Stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: e.Terminal},
	})
	s.closeTheirs()
	if err != nil {
		return 0, err
	}
	exit, err := s.run(ctx, command)
	return exit.Code, err
}

// connections are the two ways to connect a command, and their values of Exec.Terminal.
var connections = map[string]bool{"pipes": false, "a terminal": true}

// revokes is whether the kernel revokes the terminal when the leader of its session ends
// and other processes have it open: output that is not yet read is lost (kern_exit.c,
// killjobc).
const revokes = runtime.GOOS == "freebsd"

// pausing is a reader that calls pause before it takes each piece of output.
type pausing struct {
	syncbuf.Buffer
	pause func()
}

func (p *pausing) Write(b []byte) (int, error) {
	p.pause()
	return p.Buffer.Write(b)
}

// countTo returns a script that writes so many different lines of nine bytes.
func countTo(lines int) string {
	return `i=10000000; while [ $i -lt ` + strconv.Itoa(10000000+lines) + ` ]; do echo $i; i=$((i+1)); done`
}

// counted returns the output of countTo.
func counted(lines int) string {
	var all strings.Builder
	for i := range lines {
		all.WriteString(strconv.Itoa(10000000+i) + "\n")
	}
	return all.String()
}

// A pipe holds 64 KiB and a terminal a few, so the command has ended long before a reader
// that pauses has taken its output. The pause is longer than every timeout of streams.
func TestStreams_slowReader(t *testing.T) {
	leak.Check(t)
	for name, tty := range connections {
		for _, lines := range []int{500, 6000} {
			t.Run(fmt.Sprintf("a reader that pauses gets all %d lines from %s", lines, name), func(t *testing.T) {
				out := &pausing{pause: sync.OnceFunc(func() { time.Sleep(2 * drainTimeout) })}
				code, err := runStreams(t.Context(), Exec{Stdout: out, Terminal: tty}, countTo(lines)+"; exit 3")
				must.NoError(t, err)
				must.Eq(t, 3, code)
				must.Eq(t, counted(lines), strings.ReplaceAll(out.String(), "\r", ""))
			})
		}
	}
	t.Run("two readers that pause get all of both outputs", func(t *testing.T) {
		out := &pausing{pause: sync.OnceFunc(func() { time.Sleep(2 * drainTimeout) })}
		stderr := &pausing{pause: sync.OnceFunc(func() { time.Sleep(3 * drainTimeout) })}
		_, err := runStreams(t.Context(), Exec{Stdout: out, Stderr: stderr}, "{ "+countTo(3000)+"; } >&2; "+countTo(5000))
		must.NoError(t, err)
		must.Eq(t, counted(5000), out.String())
		must.Eq(t, counted(3000), stderr.String())
	})
}

// background runs a script that leaves a process behind, and returns its output. The script
// writes the ID of the process, which only SIGKILL ends, to the file NOTE.
func background(t *testing.T, tty bool, pause func(), script string) string {
	t.Helper()
	note := t.TempDir() + "/pid"
	t.Cleanup(func() {
		data, err := os.ReadFile(note)
		must.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		must.NoError(t, err)
		must.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &pausing{pause: pause}
	code, err := runStreams(ctx, Exec{Stdout: out, Terminal: tty}, strings.ReplaceAll(script, "NOTE", note))
	must.NoError(t, err)
	must.Eq(t, 0, code)
	return strings.ReplaceAll(out.String(), "\r", "")
}

func TestStreams_background(t *testing.T) {
	leak.Check(t)
	const deaf = `trap "" HUP PIPE; `
	for name, tty := range connections {
		t.Run("Exec returns although a process keeps "+name+" open", func(t *testing.T) {
			got := background(t, tty, func() {}, deaf+`sleep 1000 & echo $! >NOTE; echo done`)
			if !tty || !revokes {
				must.Eq(t, "done\n", got)
			}
		})
		t.Run("Exec with a slow reader returns although a process writes to "+name+" without end", func(t *testing.T) {
			slow := func() { time.Sleep(drainTimeout / 20) }
			got := background(t, tty, slow, deaf+`while :; do echo more; done 2>/dev/null & echo $! >NOTE; echo done`)
			if !tty || !revokes {
				must.StrContains(t, got, "done\n")
			}
		})
	}
	t.Run("output that a process writes a moment after the command's end is read", func(t *testing.T) {
		out := new(syncbuf.Buffer)
		_, err := runStreams(t.Context(), Exec{Stdout: out}, `(sleep 0.1; echo late) & echo now`)
		must.NoError(t, err)
		must.Eq(t, "now\nlate\n", out.String())
	})
}

// hanging is a reader whose first Write blocks until it is released.
type hanging struct{ begun, release chan struct{} }

func (h *hanging) Write(p []byte) (int, error) {
	select {
	case h.begun <- struct{}{}:
	default:
	}
	<-h.release
	return 0, io.ErrClosedPipe
}

func TestStreams_readerHangs(t *testing.T) {
	leak.Check(t)
	for name, tty := range connections {
		t.Run("Exec waits for the reader of "+name+" until its context ends", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			h := &hanging{begun: make(chan struct{}, 1), release: make(chan struct{})}
			t.Cleanup(func() { close(h.release) })
			ended := make(chan error, 1)
			go func() {
				_, err := runStreams(ctx, Exec{Stdout: h, Terminal: tty}, "echo x")
				ended <- err
			}()
			<-h.begun
			select {
			case err := <-ended:
				t.Fatalf("Exec does not wait for its reader: %v", err)
			case <-time.After(2 * drainTimeout):
			}
			cancel()
			select {
			case err := <-ended:
				must.ErrorIs(t, err, context.Canceled)
			case <-time.After(time.Minute):
				t.Fatal("Exec does not end with its context")
			}
		})
	}
}
