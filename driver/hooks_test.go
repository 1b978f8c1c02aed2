package driver

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/hosttest/leak"
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
			b.wrap = func(h *pot.Host) { h.Datasets = hosttest.Hooked(h.Datasets, log) }
			b.open(t)
			events, err := b.TaskEvents(t.Context())
			must.NoError(t, err)
			time.Sleep(100 * time.Millisecond) // until the stream is open
			cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
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
