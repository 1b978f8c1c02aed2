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

	"nomad-driver-pot/e2e/syncbuf"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/supervise"
)

// testStart checks what a command is given when it starts, what is reported of its end, and
// the errors of commands that cannot start. pot reported a jail that could not be created
// as an application that failed: here that is an error of the start, and an exit code is
// always the command's own.
func testStart(t *testing.T, bed Bed) {
	// 125 is pot start's own word for any failure of a command.
	t.Run("exit codes are reported unchanged", func(t *testing.T) {
		for _, code := range []int{0, 1, 3, 125, 255} {
			tk := start(t, bed, spec(pot.Name(fmt.Sprintf("exit_%d", code)), "exit", fmt.Sprint(code)))
			end := tk.wait(t)
			must.Eq(t, code, end.Code)
			must.Eq(t, 0, end.Signal)
			// An agent reads the exit again after its restart.
			again := tk.wait(t)
			must.Eq(t, end, again)
		}
	})
	t.Run("the signal that ended a command is reported", func(t *testing.T) {
		end := start(t, bed, spec("killed", "kill", "15")).wait(t)
		must.Eq(t, 15, end.Signal)
		must.Eq(t, 143, end.Code)
	})
	// The driver that called pot's scripts joined arguments with blanks, and shells split
	// and expanded them.
	t.Run("arguments arrive unchanged", func(t *testing.T) {
		args := []string{"args", "a b", `"q"`, "$HOME", "`x`", "*", "", "é\n"}
		tk := start(t, bed, spec("args", args...))
		tk.wait(t)
		for i, a := range args {
			must.StrContains(t, tk.output(t), fmt.Sprintf("%d %q\n", i+1, a))
		}
	})
	// pot's jexec(8) passed the whole environment of the agent, with its tokens, to the
	// command.
	t.Run("the environment is the task's and no other", func(t *testing.T) {
		t.Setenv("POT_TEST_OF_THE_HOST", "seen")
		tk := start(t, bed, spec("env", "env"), "A=x$HOME", "PATH=/bin", "B=1", "B=2")
		tk.wait(t)
		must.Eq(t, "A=x$HOME\nB=2\nHOME=/root\nPATH=/bin\nUSER=root\n", tk.output(t))
	})
	// User names and numbers of an image are its own; the host may have the name with
	// another number, or not at all.
	t.Run("the user is looked up in the image", func(t *testing.T) {
		s := spec("id", "id")
		s.User, s.Hostname, s.WorkDir = "web", "web.example.org", "/etc"
		tk := start(t, bed, s)
		tk.wait(t)
		must.StrContains(t, tk.output(t), "host web.example.org uid 80 gid 80")
		must.StrContains(t, tk.output(t), "cwd /etc")
	})
	// That is pot.cmd of its pot.conf, the only command that pot's own tools start.
	t.Run("without a command, the image's runs", func(t *testing.T) {
		s := spec("serves")
		s.Command = nil
		start(t, bed, s).says(t, "serving on")
	})
	for name, test := range map[string]struct {
		spec func(*pot.Spec)
		want string
	}{
		"a missing command":               {func(s *pot.Spec) { s.Command = []string{"/bin/nosuch"} }, "start /bin/nosuch: not in the pot"},
		"a command that is not a program": {func(s *pot.Spec) { s.Command = []string{"/etc/passwd"} }, "start /etc/passwd: permission denied"},
		"a missing user":                  {func(s *pot.Spec) { s.User = "nosuch" }, `user "nosuch" in the pot`},
		"a missing working directory":     {func(s *pot.Spec) { s.WorkDir = "/nosuch" }, "start /bin/hello in /nosuch: one of them is not in the pot"},
		"a port that is in use":           {takenPort(t), "address already in use"},
		"a missing output":                {func(s *pot.Spec) { s.Stdout = "/nosuch/out" }, "/nosuch"},
	} {
		t.Run(name+" is an error", func(t *testing.T) {
			s := spec("fails", "exit", "0")
			test.spec(&s)
			p, err := bed.pots().Create(t.Context(), s)
			must.NoError(t, err)
			must.ErrorContains(t, p.Start(t.Context(), nil), test.want)
			must.NoError(t, p.Destroy(t.Context()))
		})
	}
}

// takenPort publishes a port on which the test itself listens. The start must fail: with a
// redirect of the kernel alone it would succeed, and connections would go to whichever came
// first.
func takenPort(t *testing.T) func(*pot.Spec) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return func(s *pot.Spec) {
		s.Network = pot.PublicBridge
		s.Ports = []pot.Port{{Proto: conf.TCP, Host: netip.MustParseAddrPort(l.Addr().String()), To: 80}}
	}
}

// freePort returns a port that nobody uses, for TCP and UDP. Another process may take it
// before it is used; the tests hold Alone's lock, so that no other test does.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// ask returns the answer of an HTTP server.
func ask(t testing.TB, at string) string {
	t.Helper()
	body, err := tryAsk(at)
	must.NoError(t, err)
	return body
}

// tryAsk is ask for a server that may not listen yet.
func tryAsk(at string) (string, error) {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + at + "/x")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// testPorts checks published ports and addresses on the public bridge. Three ways lead to a
// pot's port: its address, the host's redirect of packets that arrive, and the supervisor's
// forward for connections from the host itself.
func testPorts(t *testing.T, bed Bed) {
	port := freePort(t)
	s := spec("web", "serve", ":8080")
	s.Network = pot.PublicBridge
	s.Ports = []pot.Port{{Proto: conf.TCP, Host: port, To: 8080}, {Proto: conf.UDP, Host: port, To: 8080}}
	tk := start(t, bed, s)
	tk.says(t, "serving on")

	// pf's rdr rules do not see connections from the host itself, and Consul's checks are
	// such.
	t.Run("a published port answers on the host", func(t *testing.T) {
		must.StrContains(t, ask(t, port.String()), "hello from web GET /x")
	})
	t.Run("the pot's own address answers", func(t *testing.T) {
		must.True(t, pot.DefaultNetwork.Prefix.Contains(tk.Address()))
		must.StrContains(t, ask(t, netip.AddrPortFrom(tk.Address(), 8080).String()), "hello from web")
	})
	// Through the supervisor's forward each is a connection and two descriptors.
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
	// With the lowest free address, as potnet allocates it, ARP caches and pf states of the
	// previous pot were applied to the next.
	t.Run("pots have different addresses, and a released one is not reused at once", func(t *testing.T) {
		other := spec("other", "sleep", "1h")
		other.Network = pot.PublicBridge
		second := create(t, bed, other)
		must.NotEq(t, tk.Address(), second.Address())
		must.NoError(t, second.Destroy(t.Context()))
		third := create(t, bed, other)
		must.NotEq(t, second.Address(), third.Address())
	})
	// The gateway's address is on the bridge of the first pot: it shows that the host's
	// network is meant and not another namespace.
	t.Run("a pot on the host's network has the host's addresses", func(t *testing.T) {
		s := spec("inherits", "id")
		s.Network = pot.HostNetwork
		tk := start(t, bed, s)
		tk.wait(t)
		must.StrContains(t, tk.output(t), "addr 127.0.0.1/8")
		must.StrContains(t, tk.output(t), "addr "+pot.DefaultNetwork.Gateway.String())
	})
}

// testExec checks further commands in a running pot. nomad alloc exec, and script checks,
// are such commands.
func testExec(t *testing.T, bed Bed) {
	tk := start(t, bed, spec("web", "signals"), "OF_THE_TASK=1")
	tk.says(t, "ready")
	t.Run("an exec returns the command's code and outputs", func(t *testing.T) {
		var out, err strings.Builder
		exit, e := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "nosuch"}, Stdout: &out, Stderr: &err})
		must.NoError(t, e)
		must.Eq(t, 64, exit.Code)
		must.Eq(t, "", out.String())
		must.StrContains(t, err.String(), "no such thing")
	})
	// A command that reads to the end of its input must see that end.
	t.Run("input reaches the command and ends", func(t *testing.T) {
		var out strings.Builder
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "tee"}, Stdin: strings.NewReader("over and out"), Stdout: &out})
		must.NoError(t, err)
		must.Eq(t, 0, exit.Code)
		must.Eq(t, "over and out", out.String())
	})
	// It is nomad alloc exec -t: one stream, echoed by the terminal.
	t.Run("a terminal has one output, and sizes", func(t *testing.T) {
		in, feed := io.Pipe()
		defer feed.Close()
		sizes := make(chan life.Size, 1)
		sizes <- life.Size{Rows: 24, Cols: 80}
		var out syncbuf.Buffer
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := tk.Exec(ctx, life.Exec{Argv: []string{"hello", "tee"}, Stdin: in, Stdout: &out, Terminal: true, Resize: sizes})
			in.CloseWithError(err) // the writer must not wait for a command that was never started
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
	// An ignored signal survives execve(2). pot's start ignores SIGINT and SIGQUIT, as a
	// shell does for a background job, and so did its commands.
	t.Run("a signal that this process ignores is not ignored in the pot", func(t *testing.T) {
		signal.Ignore(syscall.SIGHUP) // as by nohup(1)
		defer signal.Reset(syscall.SIGHUP)
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "kill", "1"}})
		must.NoError(t, err)
		must.Eq(t, int(syscall.SIGHUP), exit.Signal)
	})
	// Without that a script check that hangs would add a process with each interval.
	t.Run("a command ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := tk.Exec(ctx, life.Exec{Argv: []string{"hello", "sleep", "1h"}})
		must.ErrorIs(t, err, context.DeadlineExceeded)
		must.Less(t, 5*time.Second, time.Since(begun))
	})
	// A client that has gone must not leave a command blocked in write(2) on a full pipe.
	t.Run("a command whose reader fails can still end", func(t *testing.T) {
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "flood", "100000"}, Stdout: failing{}})
		must.NoError(t, err)
		must.Eq(t, 0, exit.Code)
	})
	// os.Root is such a directory, and an agent always has some: the program that enters
	// the jail is another one.
	t.Run("this process may have a directory open", func(t *testing.T) {
		open, err := os.OpenRoot("/")
		must.NoError(t, err)
		defer open.Close()
		exit, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "exit", "4"}})
		must.NoError(t, err)
		must.Eq(t, 4, exit.Code)
	})
	t.Run("a missing command is an error", func(t *testing.T) {
		_, err := tk.Exec(t.Context(), life.Exec{Argv: []string{"nosuch"}})
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
}

// failing is a writer that always fails.
type failing struct{}

func (failing) Write(p []byte) (int, error) { return 0, errors.New("gone") }

// testLife checks signals, stops, and pots that another process finds or whose supervisor
// or record is lost. They are the events that an agent's crash, a kill by an operator, or a
// full disk bring about.
func testLife(t *testing.T, bed Bed) {
	// They go to the command alone, and not to its children.
	t.Run("a command receives signals", func(t *testing.T) {
		tk := start(t, bed, spec("web", "signals"))
		tk.says(t, "ready")
		must.NoError(t, tk.Signal(syscall.SIGHUP))
		tk.says(t, "got hangup")
		must.NoError(t, tk.Signal(syscall.SIGUSR2))
		must.Eq(t, 0, tk.wait(t).Code)
		must.ErrorIs(t, tk.Signal(syscall.SIGHUP), supervise.ErrEnded)
	})
	// A stop of what has ended succeeds: Nomad may ask twice.
	t.Run("a stop sends the task's signal first", func(t *testing.T) {
		tk := start(t, bed, spec("web", "sleep", "1h"))
		begun := time.Now()
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, time.Minute))
		must.Less(t, 10*time.Second, time.Since(begun))
		must.Eq(t, int(syscall.SIGTERM), tk.wait(t).Signal)
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, time.Minute))
	})
	// That is Nomad's kill_timeout.
	t.Run("a command that ignores the signal is killed after the timeout", func(t *testing.T) {
		tk := start(t, bed, spec("web", "signals"))
		tk.says(t, "ready")
		begun := time.Now()
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGTERM, 300*time.Millisecond))
		must.GreaterEq(t, 300*time.Millisecond, time.Since(begun))
		must.Eq(t, int(syscall.SIGKILL), tk.wait(t).Signal)
		tk.says(t, "got terminated")
	})
	// An agent's new plugin has nothing but the pot's name: the record and the supervisor
	// tell it the rest.
	t.Run("another process can find a pot and wait for its end", func(t *testing.T) {
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
	// It must be an error of its own: 0 would let a batch job count as done.
	t.Run("the exit of a command whose supervisor was killed is unknown", func(t *testing.T) {
		tk := start(t, bed, spec("web", "sleep", "1h"))
		s, err := supervise.Open(filepath.Join(bed.Dir, "pots", "web"))
		must.NoError(t, err)
		must.NoError(t, syscall.Kill(s.Supervisor, syscall.SIGKILL))
		_, err = tk.Wait(t.Context())
		must.ErrorIs(t, err, supervise.ErrUnknownExit)
	})
	// The directory of logs is mounted in the task, which can replace its own output:
	// followed, it would have root write to any file of the host.
	t.Run("an output that becomes a link is not followed", func(t *testing.T) {
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
	// By its name alone, twice: the second call finds nothing.
	t.Run("a pot whose record is lost can be destroyed", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.Network = pot.PublicBridge
		start(t, bed, s)
		must.NoError(t, os.RemoveAll(filepath.Join(bed.Dir, "pots", "web")))
		must.NoError(t, bed.pots().Destroy(t.Context(), "web"))
		must.NoError(t, bed.pots().Destroy(t.Context(), "web"))
	})
	// One epair, mount or anchor that is left for each start shows only in a row.
	t.Run("fifty starts and stops in a row leave nothing", func(t *testing.T) {
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
