package driver

import (
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// TestDriver_StopTask_long is that a command has all the time that its job gives it:
// an operator's max_kill_timeout may be above every bound that the driver has itself.
func TestDriver_StopTask_long(t *testing.T) {
	leak.Check(t, leak.Foreign)
	if testing.Short() {
		t.Skip("-short: it waits for more than a minute")
	}
	const timeout = 65 * time.Second
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "signals")
	b.start(t, cfg)
	says(t, cfg, "ready")

	began := time.Now()
	must.NoError(t, b.StopTask(cfg.ID, timeout, "SIGHUP"))
	must.Between(t, timeout, time.Since(began), timeout+5*time.Second)
	result := b.wait(t, cfg.ID)
	must.Eq(t, int(syscall.SIGKILL), result.Signal)
	must.False(t, result.OOMKilled)
	must.NoError(t, b.DestroyTask(cfg.ID, false))
	nothingLeft(t, b.dir)
}
