package driver

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A task of a user writes to its log, which Nomad's collector reads, by name.
func TestDriver_streamsByName(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "write", "/dev/stdout", "by name")
	cfg.User = "web"
	b.start(t, cfg)
	must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
	says(t, cfg, "by name")
}
