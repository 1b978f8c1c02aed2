package hosttest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot/life"
)

// oddBytes are arguments and values with any bytes that a command can have. Most are no
// UTF-8: encoding/json, in which records and tasks are passed on, would replace such bytes
// (package exact).
var oddBytes = []string{"\xff", "a\x80b", "\xed\xa0\x80", "caf\xe9", "\uFFFD", "two\nlines\n\xfe", strings.Repeat("\xff", 1000)}

// testBytes checks that arguments and variables arrive byte for byte: Unix knows no
// encoding. A value that is changed silently is a password that does not match.
func testBytes(t *testing.T, bed Bed) {
	args := append([]string{"args"}, oddBytes...)
	var env []string
	for i, b := range oddBytes {
		env = append(env, fmt.Sprintf("ODD_%d=%s", i, b))
	}
	env = append(env, "N\xffME=value", "NEW\nLINE=value")
	arrived := func(t *testing.T, args, env []string, output string) {
		t.Helper()
		for i, a := range args {
			must.StrContains(t, output, fmt.Sprintf("%d %q\n", i+1, a))
		}
		for _, kv := range env {
			must.StrContains(t, output, kv+"\n")
		}
	}
	t.Run("arguments of a task's command arrive unchanged", func(t *testing.T) {
		tk := start(t, bed, spec("web", args...))
		must.Eq(t, 0, tk.wait(t).Code)
		arrived(t, args, nil, tk.output(t))
		again, err := bed.pots().Find("web")
		must.NoError(t, err)
		must.Eq(t, append([]string{"/bin/hello"}, args...), again.Argv())
	})
	t.Run("the environment of a task's command arrives unchanged", func(t *testing.T) {
		tk := start(t, bed, spec("web", "env"), env...)
		must.Eq(t, 0, tk.wait(t).Code)
		arrived(t, nil, env, tk.output(t))
	})
	t.Run("an exec's arguments and environment arrive unchanged", func(t *testing.T) {
		tk := start(t, bed, spec("web", "sleep", "1h"))
		var out bytes.Buffer
		_, err := tk.Exec(t.Context(), life.Exec{Argv: append([]string{"hello"}, args...), Stdout: &out})
		must.NoError(t, err)
		arrived(t, args, nil, out.String())
		out.Reset()
		_, err = tk.Exec(t.Context(), life.Exec{Argv: []string{"hello", "env"}, Env: env, Stdout: &out})
		must.NoError(t, err)
		arrived(t, nil, env, out.String())
	})
	// execve(2) ends a string at the NUL: the rest would be lost without an error. The
	// error does not quote the value, which may be a secret.
	t.Run("a NUL byte is refused with an error that says so", func(t *testing.T) {
		tk := start(t, bed, spec("web", "sleep", "1h"))
		for _, e := range []life.Exec{
			{Argv: []string{"hello", "args", "a\x00b"}}, {Argv: []string{"hello"}, Env: []string{"A=a\x00b"}}, {Argv: []string{"hello"}, WorkDir: "/\x00"},
		} {
			_, err := tk.Exec(t.Context(), e)
			must.ErrorContains(t, err, "NUL byte")
		}
		must.StrNotContains(t, nulError(t, bed, []string{"SECRET=a\x00b"}), "a\\x00b")
	})
}

// nulError returns the error of a start whose environment has a NUL byte.
func nulError(t *testing.T, bed Bed, env []string) string {
	t.Helper()
	p, err := bed.pots().Create(t.Context(), spec("fails", "exit", "0"))
	must.NoError(t, err)
	err = p.Start(t.Context(), env)
	must.ErrorContains(t, err, "NUL byte")
	must.NoError(t, p.Destroy(t.Context()))
	return err.Error()
}
