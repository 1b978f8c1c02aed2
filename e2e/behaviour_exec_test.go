//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/machine"
)

// execBehaviours are commands that nomad alloc exec runs in tasks.
var execBehaviours = []behaviour{
	{"stdout and stderr of an exec are told apart, with its exit code", func(t *testing.T, b *bed) {
		alloc := b.execTask(t, "exec-outputs")
		var stdout, stderr bytes.Buffer
		code, err := b.Allocations().Exec(ctx(t), alloc, "task", false, []string{"/bin/hello", "neither"}, strings.NewReader(""), &stdout, &stderr, nil, nil)
		must.NoError(t, err)
		must.Eq(t, []any{64, "", "hello: no such thing: neither\n"}, []any{code, stdout.String(), stderr.String()})
		code, err = b.Allocations().Exec(ctx(t), alloc, "task", false, []string{"/bin/hello", "exit", "7"}, strings.NewReader(""), &stdout, io.Discard, nil, nil)
		must.NoError(t, err)
		must.Eq(t, []any{7, "exiting 7\n"}, []any{code, stdout.String()})
	}},
	{"the input of an exec reaches the command to its end", func(t *testing.T, b *bed) {
		alloc := b.execTask(t, "exec-input")
		text := strings.Repeat("0123456789abcdef\n", 20_000)
		var out bytes.Buffer
		code, err := b.Allocations().Exec(ctx(t), alloc, "task", false, []string{"/bin/hello", "tee"}, strings.NewReader(text), &out, io.Discard, nil, nil)
		must.NoError(t, err)
		must.Eq(t, 0, code)
		must.True(t, out.String() == text, must.Sprintf("%d of %d bytes", out.Len(), len(text)))
	}},
	{"an exec with a terminal has one, and Ctrl-D ends its input", func(t *testing.T, b *bed) {
		must.Eq(t, 0, b.types(t, "exec-tty", "\x04"))
	}},
	{"Ctrl-C in a terminal interrupts the command", func(t *testing.T, b *bed) {
		must.Eq(t, 130, b.types(t, "exec-interrupt", "\x03"))
	}},
	{"an exec whose reader is slow delays no other, and loses nothing", func(t *testing.T, b *bed) {
		alloc := b.execTask(t, "exec-slow")
		const lines = 200_000
		slow := &slowReader{first: make(chan struct{}), read: make(chan struct{})}
		done := make(chan error, 1)
		go func() {
			code, err := b.Allocations().Exec(ctx(t), alloc, "task", false, []string{"/bin/hello", "flood", fmt.Sprint(lines)}, strings.NewReader(""), slow, io.Discard, nil, nil)
			if err == nil && code != 0 {
				err = fmt.Errorf("exit code %d", code)
			}
			done <- err
		}()
		select {
		case <-slow.first:
		case <-ctx(t).Done():
			t.Fatal("no output")
		}
		for range 3 { // the first exec is read by nobody meanwhile
			must.StrContains(t, b.execs(t, alloc, "task", "id"), "uid 0")
		}
		close(slow.read)
		must.NoError(t, <-done)
		must.Eq(t, lines, strings.Count(slow.got.String(), "\n"))
		must.StrHasSuffix(t, fmt.Sprintf("line %d\n", lines-1), slow.got.String())
	}},
	{"many execs run at once in a task", func(t *testing.T, b *bed) {
		alloc := b.execTask(t, "exec-many")
		var all sync.WaitGroup
		results := make([]string, 12)
		for i := range results {
			all.Go(func() {
				code, out, err := b.Exec(ctx(t), alloc, "task", "/bin/hello", "exit", fmt.Sprint(i))
				results[i] = fmt.Sprint(code, " ", out, err)
			})
		}
		all.Wait()
		for i, got := range results {
			must.Eq(t, fmt.Sprintf("%d exiting %d\n<nil>", i, i), got)
		}
	}},
	// Nomad notices that the user has hung up when it has output for him.
	{"a command whose exec is hung up is killed when it writes", func(t *testing.T, b *bed) {
		alloc := b.execTask(t, "exec-hang-up")
		argv := []string{"/bin/hello", "flood", "1000000007"}
		user, hangUp := context.WithCancel(ctx(t))
		reader := &slowReader{first: make(chan struct{}), read: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Allocations().Exec(user, alloc, "task", false, argv, strings.NewReader(""), reader, io.Discard, nil, nil)
		}()
		<-reader.first
		runs(t, true, argv...)
		hangUp()
		close(reader.read)
		<-done
		runs(t, false, argv...)
	}},
	{"an exec of a command that the pot does not have fails", func(t *testing.T, b *bed) {
		alloc := b.execTask(t, "exec-nothing")
		code, out, err := b.Exec(ctx(t), alloc, "task", "/bin/nothing")
		must.True(t, err != nil || code != 0)
		must.StrContains(t, fmt.Sprint(out, err), "/bin/nothing")
		_, _, err = b.Exec(ctx(t), alloc, "task", "/bin/"+strings.Repeat("nothing/", 30))
		must.ErrorContains(t, err, "file does not exist")
	}},
}

// execTask runs a job whose task waits for execs.
func (b *bed) execTask(t *testing.T, name string) *api.Allocation {
	t.Helper()
	return b.runs(t, job{name: name, kind: "service", config: hello(`"sleep", "1h"`)}.hcl(b.Cluster))
}

// types runs an exec with a terminal, types a line there and then last, which must end the
// command, and returns the exit code.
func (b *bed) types(t *testing.T, name, last string) int {
	t.Helper()
	alloc := b.execTask(t, name)
	sizes := make(chan api.TerminalSize, 1)
	sizes <- api.TerminalSize{Height: 50, Width: 132}
	in, keyboard := io.Pipe()
	defer keyboard.Close()
	screen := &seenText{}
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := b.Allocations().Exec(ctx(t), alloc, "task", true, []string{"/bin/hello", "tee"}, in, screen, io.Discard, sizes, nil)
		ended <- end{code, err}
	}()
	_, err := io.WriteString(keyboard, "typed\n")
	must.NoError(t, err)
	// The terminal echoes what is typed, and ends lines with CR and LF.
	until(t, func() error {
		if got := screen.String(); got != "typed\r\ntyped\r\n" {
			return fmt.Errorf("the terminal shows %q", got)
		}
		return nil
	})
	_, err = io.WriteString(keyboard, last)
	must.NoError(t, err)
	got := <-ended
	must.NoError(t, got.err)
	return got.code
}

// runs waits until a process on this machine has that command line, or none has.
func runs(t *testing.T, want bool, argv ...string) {
	t.Helper()
	until(t, func() error {
		all, err := machine.Processes()
		if err != nil {
			return err
		}
		if got := slices.ContainsFunc(all, func(p machine.Process) bool { return slices.Equal(p.Argv, argv) }); got != want {
			return fmt.Errorf("%q runs: %t", argv, got)
		}
		return nil
	})
}

// seenText is an output that others may read meanwhile.
type seenText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *seenText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *seenText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// slowReader takes its first input, and no more until read is closed.
type slowReader struct {
	first, read chan struct{}
	once        sync.Once
	got         bytes.Buffer
}

func (s *slowReader) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.first) })
	<-s.read
	return s.got.Write(p)
}
