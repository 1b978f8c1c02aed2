package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestOpenOutput(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	must.NoError(t, syscall.Mkfifo(fifo, 0o600))
	file := filepath.Join(dir, "file")
	must.NoError(t, os.WriteFile(file, nil, 0o600))

	t.Run("a fifo needs no reader, and buffers what is written until one opens it", func(t *testing.T) {
		w, keep, err := openOutput(fifo)
		must.NoError(t, err)
		_, err = io.WriteString(w, "early")
		must.NoError(t, err)
		r, err := os.Open(fifo)
		must.NoError(t, err)
		must.NoError(t, errors.Join(w.Close(), keep.file.Close()))
		got, err := io.ReadAll(r)
		must.NoError(t, err)
		must.Eq(t, "early", string(got))
	})
	t.Run("a writer outlives its reader", func(t *testing.T) {
		w, keep, err := openOutput(fifo)
		must.NoError(t, err)
		defer w.Close()
		defer keep.file.Close()
		r, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		must.NoError(t, err)
		must.NoError(t, r.Close())
		_, err = io.WriteString(w, "nobody reads")
		must.NoError(t, err)
	})
	t.Run("a link is not followed", func(t *testing.T) {
		for i, to := range []string{file, "file", "fifo", "../x"} {
			link := filepath.Join(dir, fmt.Sprint("link", i))
			must.NoError(t, os.Symlink(to, link))
			_, _, err := openOutput(link)
			must.ErrorContains(t, err, "neither fifo nor file")
		}
	})
	t.Run("a device is refused", func(t *testing.T) {
		_, _, err := openOutput(os.DevNull)
		must.ErrorContains(t, err, "neither fifo nor file")
	})
	t.Run("a missing output is an error", func(t *testing.T) {
		_, _, err := openOutput(filepath.Join(dir, "nosuch"))
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
}

func TestOpen(t *testing.T) {
	leak.Check(t)
	t.Run("a command that was never started does not exist", func(t *testing.T) {
		_, err := Open(t.TempDir())
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a damaged record is an error that names it", func(t *testing.T) {
		dir := t.TempDir()
		must.NoError(t, os.WriteFile(filepath.Join(dir, runningFile), []byte("{"), 0o600))
		_, err := Open(dir)
		must.ErrorContains(t, err, runningFile)
	})
	t.Run("a record that is too large is refused", func(t *testing.T) {
		dir := t.TempDir()
		must.NoError(t, os.WriteFile(filepath.Join(dir, runningFile), make([]byte, maxRecord+1), 0o600))
		_, err := Open(dir)
		must.ErrorContains(t, err, "no record")
	})
}

// dead returns a command whose supervisor is gone, and the directory of its records.
func dead(t *testing.T) (*Supervised, string) {
	leak.Check(t)
	dir := t.TempDir()
	must.NoError(t, writeRecord(dir, runningFile, Running{Supervisor: 1, PID: 2, Started: time.Now()}))
	must.NoError(t, syscall.Mkfifo(filepath.Join(dir, aliveFifo), 0o600))
	must.NoError(t, syscall.Mkfifo(filepath.Join(dir, controlFifo), 0o600))
	s, err := Open(dir)
	must.NoError(t, err)
	return s, dir
}

func TestSupervised_Wait(t *testing.T) {
	leak.Check(t)
	t.Run("a recorded exit is returned by each call", func(t *testing.T) {
		s, dir := dead(t)
		want := Exit{Code: 137, Signal: 9, Ended: time.Now().UTC()}
		must.NoError(t, writeRecord(dir, exitFile, want))
		for range 3 {
			got, err := s.Wait(t.Context())
			must.NoError(t, err)
			must.Eq(t, want, got)
		}
	})
	t.Run("without a record the exit is unknown, and the error quotes the supervisor's log", func(t *testing.T) {
		s, dir := dead(t)
		must.NoError(t, os.WriteFile(filepath.Join(dir, logFile), []byte("panic: oh\nmore"), 0o600))
		_, err := s.Wait(t.Context())
		must.ErrorIs(t, err, ErrUnknownExit)
		must.ErrorContains(t, err, `"panic: oh"`)
	})
	t.Run("a wait ends with its context", func(t *testing.T) {
		s, dir := dead(t)
		alive, err := os.OpenFile(filepath.Join(dir, aliveFifo), os.O_RDWR, 0)
		must.NoError(t, err)
		defer alive.Close()
		control, err := os.OpenFile(filepath.Join(dir, controlFifo), os.O_RDWR, 0)
		must.NoError(t, err)
		defer control.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = s.Wait(ctx)
		must.ErrorIs(t, err, ctx.Err())
	})
}

func TestSupervised_Signal(t *testing.T) {
	leak.Check(t)
	s, _ := dead(t)
	must.ErrorIs(t, s.Signal(syscall.SIGTERM), ErrEnded)
}

func TestRun(t *testing.T) {
	leak.Check(t)
	run := func(t *testing.T, task string) (int, reply) {
		r, w, err := os.Pipe()
		must.NoError(t, err)
		code := Run(io.NopCloser(strings.NewReader(task)), w)
		var answer reply
		must.NoError(t, json.NewDecoder(r).Decode(&answer))
		return code, answer
	}
	t.Run("a task that is not JSON is refused", func(t *testing.T) {
		code, answer := run(t, "{")
		must.Eq(t, 1, code)
		must.StrContains(t, answer.Problem, "read task")
	})
	t.Run("the fault of a jail that is gone is answered", func(t *testing.T) {
		_, dir := dead(t)
		task, err := json.Marshal(Task{Dir: dir, Argv: []string{"/bin/true"}, Jail: Jail{ID: 1 << 30}})
		must.NoError(t, err)
		code, answer := run(t, string(task))
		must.Eq(t, 1, code)
		must.StrContains(t, answer.Problem, "jail")
	})
}

func TestProcess_candidates(t *testing.T) {
	leak.Check(t)
	for name, c := range map[string]struct {
		argv, env, want []string
	}{
		"a path is not looked up":          {[]string{"/bin/x"}, nil, []string{"/bin/x"}},
		"nor is a relative path":           {[]string{"bin/x"}, nil, []string{"bin/x"}},
		"a name is looked up in PATH":      {[]string{"x"}, []string{"PATH=/a:/b/"}, []string{"/a/x", "/b/x"}},
		"the last PATH counts":             {[]string{"x"}, []string{"PATH=/a", "PATH=/b"}, []string{"/b/x"}},
		"relative directories are skipped": {[]string{"x"}, []string{"PATH=:.:/a:"}, []string{"/a/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Process{Argv: c.argv, Env: c.env}
			must.Eq(t, c.want, p.candidates())
		})
	}
}

func TestForward(t *testing.T) {
	leak.Check(t)
	t.Run("an unknown protocol is refused", func(t *testing.T) {
		_, err := forward(Forward{Proto: "sctp"})
		must.ErrorContains(t, err, `no such protocol: "sctp"`)
	})
	t.Run("datagrams and their answers reach the right client", func(t *testing.T) {
		echo, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		must.NoError(t, err)
		defer echo.Close()
		go func() {
			buf := make([]byte, 1500)
			for {
				n, from, err := echo.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				echo.WriteToUDPAddrPort(buf[:n], from)
			}
		}()
		at := freeUDP(t)
		f, err := forward(Forward{Proto: "udp", Listen: at, To: netip.MustParseAddrPort(echo.LocalAddr().String())})
		must.NoError(t, err)
		defer f.Close()
		for _, text := range []string{"one", "two"} {
			c, err := net.Dial("udp", at.String())
			must.NoError(t, err)
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			io.WriteString(c, text)
			buf := make([]byte, 16)
			n, err := c.Read(buf)
			must.NoError(t, err)
			must.Eq(t, text, string(buf[:n]))
		}
	})
	t.Run("a half-closed connection is half closed on the other side", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must.NoError(t, err)
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			all, _ := io.ReadAll(c) // until the client has sent all
			c.Write(append([]byte("got "), all...))
		}()
		at := freeUDP(t)
		f, err := forward(Forward{Proto: "tcp", Listen: at, To: netip.MustParseAddrPort(l.Addr().String())})
		must.NoError(t, err)
		defer f.Close()
		c, err := net.Dial("tcp", at.String())
		must.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, "all")
		must.NoError(t, c.(*net.TCPConn).CloseWrite())
		answer, err := io.ReadAll(c)
		must.NoError(t, err)
		must.Eq(t, "got all", string(answer))
	})
}

// freeUDP returns a port on loopback that nobody uses.
func freeUDP(t *testing.T) netip.AddrPort {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	must.NoError(t, err)
	defer c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}
