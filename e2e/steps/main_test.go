package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m.Run)) }

func TestRunSteps(t *testing.T) {
	leak.Check(t)
	clock := time.Time{}
	now := func() time.Time { return clock }
	run := func(target string) error {
		clock = clock.Add(90 * time.Second)
		if target == "race" {
			return errors.New("exit status 2")
		}
		return nil
	}
	t.Run("each step has its seconds", func(t *testing.T) {
		var out strings.Builder
		must.NoError(t, runSteps([]string{"check", "cross"}, run, now, &out))
		must.Eq(t, `==> make check
==> make cross

step          seconds
check              90
cross              90
total             180
`, out.String())
	})
	t.Run("a step that fails is the last, and the table has it", func(t *testing.T) {
		var out strings.Builder
		err := runSteps([]string{"check", "race", "e2e"}, run, now, &out)
		must.EqError(t, err, "make race: exit status 2")
		must.StrHasSuffix(t, "check              90\nrace               90 failed\ntotal             180\n", out.String())
		must.StrNotContains(t, out.String(), "e2e")
	})
}
