package driver

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestDriver_signals(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "signals")
	b.start(t, cfg)
	waitForOutput(t, cfg, "ready")

	t.Run("a signal reaches the command, with or without SIG in its name", func(t *testing.T) {
		must.NoError(t, b.SignalTask(cfg.ID, "SIGHUP"))
		waitForOutput(t, cfg, "got hangup")
		must.NoError(t, b.SignalTask(cfg.ID, "usr1"))
		waitForOutput(t, cfg, "got user defined signal 1")
	})

	t.Run("a signal that does not exist is refused", func(t *testing.T) {
		must.ErrorContains(t, b.SignalTask(cfg.ID, "SIGNOT"), `cannot signal task: no such signal: "SIGNOT"`)
	})

	t.Run("a command that ignores its kill signal is killed after the timeout", func(t *testing.T) {
		began := time.Now()
		must.NoError(t, b.StopTask(cfg.ID, time.Second, ""))
		must.Between(t, time.Second, time.Since(began), 3*time.Second)
		waitForOutput(t, cfg, "got terminated")
		must.Eq(t, 137, b.wait(t, cfg.ID).ExitCode)
	})

	t.Run("a command that has ended cannot be signalled", func(t *testing.T) {
		must.ErrorContains(t, b.SignalTask(cfg.ID, "SIGHUP"), "cannot signal task: the command: it has ended")
	})

	t.Run("a kill_signal that does not exist is replaced by SIGTERM", func(t *testing.T) {
		cfg := b.sleeper(t)
		must.NoError(t, b.StopTask(cfg.ID, 5*time.Second, "SIGNOT"))
		must.Eq(t, 143, b.wait(t, cfg.ID).ExitCode)
	})

	t.Run("kill_signal is sent first", func(t *testing.T) {
		cfg := b.task(t, `network_mode = "none"`, "signals")
		b.start(t, cfg)
		waitForOutput(t, cfg, "ready")
		must.NoError(t, b.StopTask(cfg.ID, 5*time.Second, "SIGUSR2"))
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
	})
}
