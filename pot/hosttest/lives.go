package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/supervise"
)

func testStart(t *testing.T, bed Bed) {
	t.Run("exit codes are returned unchanged", func(t *testing.T) {
		for _, code := range []int{0, 1, 3, 125, 255} {
			tk := start(t, bed, spec(pot.Name(fmt.Sprintf("exit_%d", code)), "exit", fmt.Sprint(code)))
			end := tk.wait(t)
			must.Eq(t, code, end.Code)
			must.Eq(t, 0, end.Signal)
			again := tk.wait(t)
			must.Eq(t, end, again)
		}
	})
	t.Run("the signal that ends a command is returned", func(t *testing.T) {
		end := start(t, bed, spec("killed", "kill", "15")).wait(t)
		must.Eq(t, 15, end.Signal)
		must.Eq(t, 143, end.Code)
	})
	t.Run("arguments are unchanged", func(t *testing.T) {
		args := []string{"args", "a b", `"q"`, "$HOME", "`x`", "*", "", "é\n"}
		tk := start(t, bed, spec("args", args...))
		tk.wait(t)
		for i, a := range args {
			must.StrContains(t, tk.output(t), fmt.Sprintf("%d %q\n", i+1, a))
		}
	})
	t.Run("the environment is the task's alone", func(t *testing.T) {
		t.Setenv("POT_TEST_OF_THE_HOST", "seen")
		tk := start(t, bed, spec("env", "env"), "A=x$HOME", "PATH=/bin", "B=1", "B=2")
		tk.wait(t)
		must.Eq(t, "A=x$HOME\nB=2\nHOME=/root\nPATH=/bin\nUSER=root\n", tk.output(t))
	})
	t.Run("a user is looked up in the image", func(t *testing.T) {
		s := spec("id", "id")
		s.User, s.Hostname, s.WorkDir = "web", "web.example.org", "/etc"
		tk := start(t, bed, s)
		tk.wait(t)
		must.StrContains(t, tk.output(t), "host web.example.org uid 80 gid 80")
		must.StrContains(t, tk.output(t), "cwd /etc")
	})
	t.Run("a spec without a command runs the image's", func(t *testing.T) {
		s := spec("serves")
		s.Command = nil
		start(t, bed, s).says(t, "serving on")
	})
	for name, test := range map[string]struct {
		spec func(*pot.Spec)
		want string
	}{
		"a missing command":                {func(s *pot.Spec) { s.Command = []string{"/bin/nosuch"} }, "start /bin/nosuch: not in the pot"},
		"a command that is not executable": {func(s *pot.Spec) { s.Command = []string{"/etc/passwd"} }, "start /etc/passwd: permission denied"},
		"an unknown user":                  {func(s *pot.Spec) { s.User = "nosuch" }, `user "nosuch" in the pot`},
		"a missing work directory":         {func(s *pot.Spec) { s.WorkDir = "/nosuch" }, "start /bin/hello in /nosuch: one of them is not in the pot"},
		"a port in use":                    {takenPort(t), "address already in use"},
		"a missing output":                 {func(s *pot.Spec) { s.Stdout = "/nosuch/out" }, "/nosuch"},
	} {
		t.Run(name+" fails the start", func(t *testing.T) {
			s := spec("fails", "exit", "0")
			test.spec(&s)
			p, err := bed.pots().Create(t.Context(), s)
			must.NoError(t, err)
			must.ErrorContains(t, p.Start(t.Context(), nil), test.want)
			must.NoError(t, p.Destroy(t.Context()))
		})
	}
}

// takenPort returns a change of a spec to publish a port that the test listens on.
func takenPort(t *testing.T) func(*pot.Spec) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return func(s *pot.Spec) {
		s.Network = pot.PublicBridge
		s.Ports = []pot.Port{{Proto: conf.TCP, Host: netip.MustParseAddrPort(l.Addr().String()), To: 80}}
	}
}

// freePort returns an address and a port that is free, as far as TCP knows.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// ask returns the answer of an HTTP server at an address of the host.
func ask(t testing.TB, at string) string {
	t.Helper()
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + at + "/x")
	must.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	return string(body)
}

func testPorts(t *testing.T, bed Bed) {
	port := freePort(t)
	s := spec("web", "serve", ":8080")
	s.Network = pot.PublicBridge
	s.Ports = []pot.Port{{Proto: conf.TCP, Host: port, To: 8080}, {Proto: conf.UDP, Host: port, To: 8080}}
	tk := start(t, bed, s)
	tk.says(t, "serving on")

	t.Run("a published port answers on the host", func(t *testing.T) {
		must.StrContains(t, ask(t, port.String()), "hello from web GET /x")
	})
	t.Run("the pot's own address answers", func(t *testing.T) {
		must.True(t, pot.DefaultNetwork.Prefix.Contains(tk.Address()))
		must.StrContains(t, ask(t, netip.AddrPortFrom(tk.Address(), 8080).String()), "hello from web")
	})
	t.Run("many requests at once are answered", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { ask(t, port.String()) })
		}
		wg.Wait()
	})
	t.Run("the pot sees its address and its gateway", func(t *testing.T) {
		must.StrContains(t, tk.exec(t, "id"), tk.Address().String()+"/10")
		must.StrContains(t, tk.exec(t, "cat", "/etc/hosts"), tk.Address().String()+" web\n")
	})
	t.Run("pots have different addresses, and a released address is not reused at once", func(t *testing.T) {
		other := spec("other", "sleep", "1h")
		other.Network = pot.PublicBridge
		second := create(t, bed, other)
		must.NotEq(t, tk.Address(), second.Address())
		must.NoError(t, second.Destroy(t.Context()))
		third := create(t, bed, other)
		must.NotEq(t, second.Address(), third.Address())
	})
	t.Run("a pot on the host's network has the host's addresses", func(t *testing.T) {
		s := spec("inherits", "id")
		s.Network = pot.HostNetwork
		tk := start(t, bed, s)
		tk.wait(t)
		must.StrContains(t, tk.output(t), "addr 127.0.0.1/8")
		must.StrContains(t, tk.output(t), "addr "+pot.DefaultNetwork.Gateway.String())
	})
}

func testExec(t *testing.T, bed Bed) {
	tk := start(t, bed, spec("web", "signals"), "OF_THE_TASK=1")
	tk.says(t, "ready")
	t.Run("a command's code and outputs are returned", func(t *testing.T) {
		var out, err strings.Builder
		exit, e := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "nosuch"}, Stdout: &out, Stderr: &err})
		must.NoError(t, e)
		must.Eq(t, 64, exit.Code)
		must.Eq(t, "", out.String())
		must.StrContains(t, err.String(), "no such thing")
	})
	t.Run("a command reads its input to the end", func(t *testing.T) {
		var out strings.Builder
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "tee"}, Stdin: strings.NewReader("over and out"), Stdout: &out})
		must.NoError(t, err)
		must.Eq(t, 0, exit.Code)
		must.Eq(t, "over and out", out.String())
	})
	t.Run("a terminal has one output, and sizes", func(t *testing.T) {
		in, feed := io.Pipe()
		defer feed.Close()
		sizes := make(chan life.Size, 1)
		sizes <- life.Size{Rows: 24, Cols: 80}
		var out lockedBuilder
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := tk.Exec(ctx, life.Exec{Argv: []string{"hello", "tee"}, Stdin: in, Stdout: &out, Terminal: true, Resize: sizes})
			in.CloseWithError(err) // so that the writer does not wait for a command that never started
			done <- err
		}()
		_, err := io.WriteString(feed, "typed\n")
		must.NoError(t, err)
		eventually(t, "the terminal echoes and the command answers", func() bool {
			return strings.Count(out.String(), "typed\r\n") == 2
		})
		cancel()
		must.ErrorIs(t, <-done, context.Canceled)
	})
	t.Run("a signal that this process ignores is not ignored by a command", func(t *testing.T) {
		signal.Ignore(syscall.SIGHUP) // as by nohup(1)
		defer signal.Reset(syscall.SIGHUP)
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "kill", "1"}})
		must.NoError(t, err)
		must.Eq(t, int(syscall.SIGHUP), exit.Signal)
	})
	t.Run("a command ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := tk.Exec(ctx, life.Exec{Argv: []string{"hello", "sleep", "1h"}})
		must.ErrorIs(t, err, context.DeadlineExceeded)
		must.Less(t, 5*time.Second, time.Since(begun))
	})
	t.Run("a command is not blocked by a reader that fails", func(t *testing.T) {
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "flood", "100000"}, Stdout: failing{}})
		must.NoError(t, err)
		must.Eq(t, 0, exit.Code)
	})
	t.Run("a command starts although this process has a directory open", func(t *testing.T) {
		open, err := os.OpenRoot("/")
		must.NoError(t, err)
		defer open.Close()
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "exit", "4"}})
		must.NoError(t, err)
		must.Eq(t, 4, exit.Code)
	})
	t.Run("a missing command does not exist", func(t *testing.T) {
		_, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"nosuch"}})
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type failing struct{}

func (failing) Write(p []byte) (int, error) { return 0, errors.New("gone") }

func testLife(t *testing.T, bed Bed) {
	t.Run("a command is signalled by the name of its pot", func(t *testing.T) {
		tk := start(t, bed, spec("web", "signals"))
		tk.says(t, "ready")
		must.NoError(t, tk.Signal(syscall.SIGHUP))
		tk.says(t, "got hangup")
		must.NoError(t, tk.Signal(syscall.SIGUSR2))
		must.Eq(t, 0, tk.wait(t).Code)
		must.ErrorIs(t, tk.Signal(syscall.SIGHUP), supervise.ErrEnded)
	})
	t.Run("a stop sends its signal first", func(t *testing.T) {
		tk := start(t, bed, spec("web", "sleep", "1h"))
		begun := time.Now()
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, time.Minute))
		must.Less(t, 10*time.Second, time.Since(begun))
		must.Eq(t, int(syscall.SIGTERM), tk.wait(t).Signal)
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, time.Minute))
	})
	t.Run("a command that ignores the signal of a stop is killed", func(t *testing.T) {
		tk := start(t, bed, spec("web", "signals"))
		tk.says(t, "ready")
		begun := time.Now()
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, 300*time.Millisecond))
		must.GreaterEq(t, 300*time.Millisecond, time.Since(begun))
		must.Eq(t, int(syscall.SIGKILL), tk.wait(t).Signal)
		tk.says(t, "got terminated")
	})
	t.Run("another process finds a pot and returns how it ended", func(t *testing.T) {
		tk := start(t, bed, spec("web", "signals"))
		tk.says(t, "ready")
		again, err := bed.pots().Find("web")
		must.NoError(t, err)
		must.Eq(t, tk.Argv(), again.Argv())
		must.NoError(t, again.Signal(syscall.SIGUSR2))
		end, err := again.Wait(t.Context())
		must.NoError(t, err)
		must.Eq(t, 0, end.Code)
	})
	t.Run("the exit is unknown if the supervisor was killed", func(t *testing.T) {
		tk := start(t, bed, spec("web", "sleep", "1h"))
		s, err := supervise.Open(filepath.Join(bed.Dir, "pots", "web"))
		must.NoError(t, err)
		must.NoError(t, syscall.Kill(s.Supervisor, syscall.SIGKILL))
		_, err = tk.Wait(t.Context())
		must.ErrorIs(t, err, supervise.ErrUnknownExit)
	})
	t.Run("an output that is a link is not followed", func(t *testing.T) {
		s := spec("web", "exit", "0")
		logs := t.TempDir()
		victim := filepath.Join(t.TempDir(), "victim")
		must.NoError(t, os.WriteFile(victim, nil, 0o600))
		s.Stdout = filepath.Join(logs, "out")
		must.NoError(t, os.Symlink(victim, s.Stdout))
		p, err := bed.pots().Create(t.Context(), s)
		must.NoError(t, err)
		must.Error(t, p.Start(t.Context(), nil))
		must.NoError(t, p.Destroy(t.Context()))
	})
	t.Run("a pot whose record is lost can be destroyed", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.Network = pot.PublicBridge
		start(t, bed, s)
		must.NoError(t, os.RemoveAll(filepath.Join(bed.Dir, "pots", "web")))
		must.NoError(t, bed.pots().Destroy(t.Context(), "web"))
		must.NoError(t, bed.pots().Destroy(t.Context(), "web"))
	})
	t.Run("fifty starts and stops leave nothing behind", func(t *testing.T) {
		before := bed.State(t)
		for range 50 {
			s := spec("again", "sleep", "1h")
			s.Network = pot.PublicBridge
			p, err := bed.pots().Create(t.Context(), s)
			must.NoError(t, err)
			must.NoError(t, p.Start(t.Context(), nil))
			must.NoError(t, p.Stop(t.Context(), syscall.SIGTERM, 10*time.Second))
			must.NoError(t, p.Destroy(t.Context()))
		}
		sameState(t, before, bed.State)
	})
}
