package run_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

func TestHost_Run(t *testing.T) {
	leak.Check(t)
	t.Setenv("POT_TEST_SECRET", "planted")
	t.Run("a command runs in the C locale, in / and without our environment", func(t *testing.T) {
		out, err := run.Host{}.Run(t.Context(), strings.NewReader("fed"), "sh", "-c", "cat; env; pwd")
		must.NoError(t, err)
		must.StrContains(t, out, "fed")
		must.StrContains(t, out, "LC_ALL=C\n")
		must.StrNotContains(t, out, "planted")
		must.StrHasSuffix(t, "\n/\n", out)
	})
	t.Run("the error of a failed command has its last line", func(t *testing.T) {
		_, err := run.Host{}.Run(t.Context(), nil, "sh", "-c", "echo one >&2; echo two >&2; exit 3")
		var e *run.Error
		must.True(t, errors.As(err, &e))
		must.Eq(t, 3, e.Code)
		must.EqError(t, err, "sh -c echo one >&2; echo two >&2; exit 3: exit status 3: two")
		must.True(t, run.Says(err, "one"))
		must.False(t, run.Says(err, "three"))
	})
	t.Run("a command that hangs ends with its context", func(t *testing.T) {
		late := errors.New("not done in time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, late)
		defer cancel()
		begun := time.Now()
		_, err := run.Host{}.Run(ctx, nil, "sleep", "60")
		must.ErrorIs(t, err, late)
		must.ErrorContains(t, err, "sleep 60: ")
		must.Less(t, 3*time.Second, time.Since(begun))
	})
	t.Run("commands are observed", func(t *testing.T) {
		var seen []string
		run.Observe = func(argv []string) { seen = append(seen, strings.Join(argv, " ")) }
		defer func() { run.Observe = nil }()
		_, err := run.Host{}.Run(t.Context(), nil, "echo", "a")
		must.NoError(t, err)
		must.NoError(t, run.Host{}.Stream(t.Context(), io.Discard, "echo", "b"))
		must.Eq(t, []string{"echo a", "echo b"}, seen)
	})
	t.Run("a missing command is an error that names where it was looked up", func(t *testing.T) {
		_, err := run.Host{}.Run(t.Context(), nil, "no-such-command")
		must.ErrorContains(t, err, "no-such-command: no such command in /sbin")
	})
	t.Run("output beyond the bound is an error", func(t *testing.T) {
		_, err := run.Host{}.Run(t.Context(), nil, "head", "-c", "20000000", "/dev/zero")
		must.ErrorContains(t, err, "more than 16777216 bytes of output")
	})
}

func TestLog(t *testing.T) {
	leak.Check(t)
	log := &run.Log{Answers: map[string]run.Answer{
		"zfs list": {Stdout: "tank\n"},
		"jail -c":  {Err: &run.Error{Argv: []string{"jail", "-c"}, Code: 1, Stderr: "no"}},
	}}
	out, err := log.Run(t.Context(), nil, "zfs", "list")
	must.NoError(t, err)
	must.Eq(t, "tank\n", out)
	_, err = log.Run(t.Context(), strings.NewReader("a\nb\n"), "jail", "-c")
	must.EqError(t, err, "jail -c: exit status 1: no")
	must.Eq(t, "zfs list\njail -c\n\ta\n\tb\n", log.String())
}
