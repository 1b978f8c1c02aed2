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
	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot/hosttest"
)

// An image's programs for the host are run if the operator allows it; a task's events
// say what became of them.
func TestDriver_hooks(t *testing.T) {
	leak.Check(t, leak.Foreign)
	for _, tc := range []struct {
		name, config string
		told, begun  string // an event, and the log
		ended        string // of the log, then
	}{
		{name: "not allowed", told: "hooks of the image that are not allowed on this client, and not run: prestart, poststart, prestop and poststop"},
		{name: "some are allowed", config: `allow_hooks = ["poststart", "poststop"]`,
			told: "poststart of pot web_", begun: "poststart", ended: "poststop"},
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
			toldUntil(t, events, cfg, tc.told)
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
			b.open(t) // by another plugin process
			must.NoError(t, b.DestroyTask(cfg.ID, true))
			logHas(tc.ended)
		})
	}
}

// serveHooked has the server serve an image with programs for the host, which was exported
// from a pot that pot's own commands have given them to.
func (b *bed) serveHooked(t *testing.T, log string) {
	t.Helper()
	stream := hosttest.HookedStream(t, b.driver.current().pots, xz.NewReader(bytes.NewReader(imagetest.Hello(""))), log)
	a, err := image.Export(t.Context(), image.ExportOptions{
		Name: builtName, Tag: "1.0", Dir: t.TempDir(), Snapshot: "1700000000",
		Send: func(_ context.Context, w io.Writer) error {
			_, err := w.Write(stream)
			return err
		},
	})
	must.NoError(t, err)
	b.serve(t, a)
}
