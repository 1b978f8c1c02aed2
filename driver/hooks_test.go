package driver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot/hosttest"
)

// An image's hooks run on the host if the operator allows them. Events of the task name
// those that do not run, and hold the output of the others.
func TestDriver_hooks(t *testing.T) {
	leak.Check(t, leak.Foreign)
	for _, tc := range []struct {
		name, config string
		event        string // the beginning of an event
		begun, ended string // last in the hooks' log when the task runs, and after it
	}{
		{name: "without allow_hooks none runs", event: "Ignored image hooks not in this client's allow_hooks: prestart, poststart, prestop and poststop"},
		{name: "those in allow_hooks run", config: `allow_hooks = ["poststart", "poststop"]`,
			event: "poststart of pot web_", begun: "poststart", ended: "poststop"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			b := newBed(t, tc.config)
			b.serveHooked(t, log)
			events, err := b.TaskEvents(t.Context())
			must.NoError(t, err)
			time.Sleep(100 * time.Millisecond) // until the stream is open
			cfg := b.task(t, fmt.Sprintf("pot = %q\nnetwork_mode = \"none\"", builtName), "sleep", "1h")
			b.start(t, cfg)
			eventsUntil(t, events, cfg, tc.event)
			logHas := func(want string) {
				t.Helper()
				text, err := os.ReadFile(log)
				if want == "" {
					must.ErrorIs(t, err, os.ErrNotExist)
					return
				}
				must.NoError(t, err)
				must.RegexMatch(t, regexp.MustCompile(`^(\w+ web_.*\n)*`+want+` web_.*\n$`), string(text))
			}
			logHas(tc.begun)
			b.open(t) // the plugin is restarted
			must.NoError(t, b.DestroyTask(cfg.ID, true))
			logHas(tc.ended)
		})
	}
}

// serveHooked serves an image with hooks, exported from a pot whose hooks were set by pot's
// own commands.
func (b *bed) serveHooked(t *testing.T, log string) {
	t.Helper()
	stream := hosttest.HookedStream(t, b.driver.current().pots, xz.NewReader(bytes.NewReader(imagetest.Hello(""))), log)
	a, err := build.Export(t.Context(), build.ExportOptions{
		Name: builtName, Tag: "1.0", Dir: t.TempDir(), Snapshot: "1700000000",
		Send: func(_ context.Context, w io.Writer) error {
			_, err := w.Write(stream)
			return err
		},
	})
	must.NoError(t, err)
	serve(t, b.server, a)
}
