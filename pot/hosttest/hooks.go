package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// HookedStream returns a ZFS stream of a pot with hooks, each of which writes to the file
// log what it is given. The pot is made from the stream from by pot's own commands on the
// host of pots, as a person would. Hooks are in conf, outside of the tree, so they travel
// with the image and no process of a pot can change them.
func HookedStream(t testing.TB, pots *life.Pots, from io.Reader, log string) []byte {
	t.Helper()
	return changedStream(t, pots, from, func(s *local.Pot) {
		for _, hook := range conf.Hooks {
			file := filepath.Join(t.TempDir(), string(hook))
			text := fmt.Sprintf("#!/bin/sh\necho %s $_POT_NAME ${_POT_JID:+in jail} ${_POT_IP} $SECRET >> %s\n[ %[1]s != prestart ] || echo ready\n[ %[1]s != poststart ] || { echo oh no; exit 3; }\n", hook, log)
			must.NoError(t, os.WriteFile(file, []byte(text), 0o755))
			must.NoError(t, s.Apply(t.Context(), local.SetHook{Hook: hook, File: file}))
		}
	})
}

// changedStream imports the stream from as a pot, changes its settings, takes a snapshot
// and returns the snapshot's stream. The pot is destroyed before the function returns.
func changedStream(t testing.TB, pots *life.Pots, from io.Reader, change func(*local.Pot)) []byte {
	t.Helper()
	const name = "changed"
	s, err := local.Create(t.Context(), pots, name, from)
	must.NoError(t, err)
	defer func() { must.NoError(t, local.Destroy(context.Background(), pots, name, false, local.StartOptions{})) }()
	change(s)
	snapshot, err := s.Snapshot(t.Context(), false)
	must.NoError(t, err)
	var stream bytes.Buffer
	must.NoError(t, s.Send(t.Context(), snapshot, &stream))
	return stream.Bytes()
}

// hooked is the name of the suite's image with hooks.
const hooked = "hooked_1_0"

// hookedSpec is spec with the image that has hooks.
func hookedSpec(args ...string) pot.Spec {
	s := spec("web", args...)
	s.Image = hooked
	return s
}

// testHooks checks when hooks of an image run, and what they are given. A hook is a program
// of the image that runs on the host as root: pot runs the hooks of every image.
func testHooks(t *testing.T, bed Bed) {
	// It stands for the agent's tokens: no hook may see it.
	t.Setenv("SECRET", "s3cret")
	log := filepath.Join(t.TempDir(), "log")
	stream := HookedStream(t, bed.pots(), bed.Stream(), log)
	must.NoError(t, bed.Host.Images.Receive(t.Context(), hooked, bytes.NewReader(stream)))
	t.Cleanup(func() { must.NoError(t, bed.Host.Images.Destroy(context.Background(), hooked)) })
	said := func() []string {
		text, err := os.ReadFile(log)
		os.Remove(log)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		must.NoError(t, err)
		var lines []string
		for line := range strings.Lines(string(text)) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return lines
	}
	end := func(t *testing.T, tk *task) {
		must.NoError(t, tk.Stop(t.Context(), syscall.SIGKILL, time.Second))
		must.NoError(t, tk.Destroy(t.Context()))
		must.NoError(t, tk.Destroy(t.Context()))
	}

	t.Run("hooks of an image are not run by default", func(t *testing.T) {
		tk := start(t, bed, hookedSpec("sleep", "1h"))
		must.Eq(t, conf.Hooks, tk.RefusedHooks())
		end(t, tk)
		must.SliceEmpty(t, tk.Notes())
		must.SliceEmpty(t, said())
	})
	t.Run("allowed hooks run once each, in the order of a pot's life", func(t *testing.T) {
		s := hookedSpec("sleep", "1h")
		s.Network = pot.PublicBridge
		s.Hooks = conf.Hooks
		tk := start(t, bed, s)
		must.SliceEmpty(t, tk.RefusedHooks())
		must.Eq(t, []string{"prestart of pot web: ready", "poststart of pot web: oh no", "poststart of pot web: exit status 3"}, tk.Notes())
		must.SliceEmpty(t, tk.Notes())
		end(t, tk)
		at := tk.Address().String()
		must.Eq(t, []string{"prestart web " + at, "poststart web in jail " + at, "prestop web in jail " + at, "poststop web " + at}, said())
	})
	// The agent may be restarted between start and stop, or two of its goroutines may end a
	// task: a poststop hook that runs twice undoes what is another pot's by then.
	t.Run("another process runs the remaining hooks, and only one runs the last", func(t *testing.T) {
		s := hookedSpec("sleep", "1h")
		s.Hooks = []conf.Hook{conf.PreStop, conf.PostStop}
		tk := start(t, bed, s)
		must.Eq(t, []conf.Hook{conf.PreStart, conf.PostStart}, tk.RefusedHooks())
		found, err := tk.pots.Find("web")
		must.NoError(t, err)
		third, err := tk.pots.Find("web")
		must.NoError(t, err)
		end(t, &task{Pot: found, pots: tk.pots})
		must.Eq(t, []string{"prestop web in jail", "poststop web"}, said())
		must.NoError(t, third.Destroy(t.Context()))
		must.NoError(t, tk.pots.Destroy(t.Context(), "web"))
	})
	// Whatever prestart has set up on the host must be undone.
	t.Run("the last hook runs after a start that failed", func(t *testing.T) {
		s := hookedSpec("sleep", "1h")
		s.Hooks = conf.Hooks
		s.Mounts = []pot.Mount{{Source: "/no/such", Target: "/data"}}
		_, err := bed.pots().Create(t.Context(), s)
		must.ErrorContains(t, err, "/no/such")
		must.ErrorContains(t, err, "prestart of pot web: ready")
		must.Eq(t, []string{"prestart web", "poststop web"}, said())
	})
	// prestop talks to the command: it would wait for one that cannot answer.
	t.Run("the hook before a stop does not run for a command that has ended", func(t *testing.T) {
		s := hookedSpec("exit", "0")
		s.Hooks = []conf.Hook{conf.PreStop}
		tk := start(t, bed, s)
		tk.wait(t)
		end(t, tk)
		must.SliceEmpty(t, said())
	})
}
