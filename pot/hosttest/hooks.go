package hosttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
)

// Hooked are the datasets of d, of images that bring programs for the host, each of
// which writes into the file log what it is told.
func Hooked(d pot.Datasets, log string) pot.Datasets { return hooked{d, log} }

type hooked struct {
	pot.Datasets
	log string
}

func (h hooked) Clone(ctx context.Context, c pot.Clone) (string, error) {
	dir, err := h.Datasets.Clone(ctx, c)
	for _, hook := range pot.Hooks {
		text := fmt.Sprintf("#!/bin/sh\necho %s $_POT_NAME ${_POT_JID:+in jail} ${_POT_IP} $SECRET >> %s\n[ %[1]s != poststart ] || { echo oh no; exit 3; }\n", hook, h.log)
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "conf", string(hook)+".sh"), []byte(text), 0o755))
	}
	return dir, err
}

func testHooks(t *testing.T, bed Bed) {
	t.Setenv("SECRET", "s3cret")
	log := filepath.Join(t.TempDir(), "log")
	bed.Host.Datasets = Hooked(bed.Host.Datasets, log)
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

	t.Run("an image's are not run", func(t *testing.T) {
		tk := start(t, bed, spec("web", "sleep", "1h"))
		must.Eq(t, pot.Hooks, tk.RefusedHooks())
		end(t, tk)
		must.SliceEmpty(t, tk.Notes())
		must.SliceEmpty(t, said())
	})
	t.Run("unless they are allowed: in the order of a pot's life, and once", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.Network = pot.PublicBridge
		s.Hooks = pot.Hooks
		tk := start(t, bed, s)
		must.SliceEmpty(t, tk.RefusedHooks())
		must.Eq(t, []string{"poststart of pot web: oh no", "poststart of pot web: exit status 3"}, tk.Notes())
		must.SliceEmpty(t, tk.Notes())
		end(t, tk)
		at := tk.Address().String()
		must.Eq(t, []string{"prestart web " + at, "poststart web in jail " + at, "prestop web in jail " + at, "poststop web " + at}, said())
	})
	t.Run("another process goes on with them", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.Hooks = []pot.Hook{pot.PreStop, pot.PostStop}
		tk := start(t, bed, s)
		must.Eq(t, []pot.Hook{pot.PreStart, pot.PostStart}, tk.RefusedHooks())
		found, err := tk.pots.Find("web")
		must.NoError(t, err)
		end(t, &task{Pot: found, pots: tk.pots})
		must.Eq(t, []string{"prestop web in jail", "poststop web"}, said())
	})
	t.Run("the last is run after a start that failed", func(t *testing.T) {
		s := spec("web", "sleep", "1h")
		s.Hooks = pot.Hooks
		s.Mounts = []pot.Mount{{Source: "/no/such", Target: "/data"}}
		_, err := bed.pots().Create(t.Context(), s)
		must.Error(t, err)
		must.Eq(t, []string{"prestart web", "poststop web"}, said())
	})
	t.Run("a command that has ended is not about to be stopped", func(t *testing.T) {
		s := spec("web", "exit", "0")
		s.Hooks = []pot.Hook{pot.PreStop}
		tk := start(t, bed, s)
		tk.wait(t)
		end(t, tk)
		must.SliceEmpty(t, said())
	})
}
