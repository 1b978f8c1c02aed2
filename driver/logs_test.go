package driver

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A command that does not run as root can open /dev/stdout, which is a fifo of Nomad's log
// collector.
func TestDriver_logs_openedByName(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "write", "/dev/stdout", "by name")
	cfg.User = "web"
	b.start(t, cfg)
	must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
	waitForOutput(t, cfg, "by name")
}
