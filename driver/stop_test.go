package driver

import (
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A command has all of its job's kill_timeout to end. The operator's max_kill_timeout may
// be longer than any timeout of the driver's own.
func TestDriver_StopTask_long(t *testing.T) {
	leak.Check(t, leak.Foreign)
	if testing.Short() {
		t.Skip("-short: it waits for more than a minute")
	}
	const timeout = 65 * time.Second
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "signals")
	b.start(t, cfg)
	waitForOutput(t, cfg, "ready")

	began := time.Now()
	must.NoError(t, b.StopTask(cfg.ID, timeout, "SIGHUP"))
	must.Between(t, timeout, time.Since(began), timeout+5*time.Second)
	result := b.wait(t, cfg.ID)
	must.Eq(t, int(syscall.SIGKILL), result.Signal)
	must.False(t, result.OOMKilled)
	must.NoError(t, b.DestroyTask(cfg.ID, false))
	nothingLeft(t, b.dir)
}
