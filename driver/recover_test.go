package driver

import (
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestDriver_RecoverTask(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	running := b.task(t, "", "signals")
	ended := b.task(t, `network_mode = "none"`, "exit", "3")
	lost := b.task(t, `network_mode = "none"`, "sleep", "1h")
	gone := b.task(t, `network_mode = "none"`, "sleep", "1h")
	known, _ := b.start(t, running)
	waitForOutput(t, running, "ready")
	before, err := b.InspectTask(running.ID)
	must.NoError(t, err)
	exited, _ := b.start(t, ended)
	unseen, _ := b.start(t, lost)
	destroyed, _ := b.start(t, gone)
	must.Eq(t, 3, b.wait(t, ended.ID).ExitCode)
	must.NoError(t, b.DestroyTask(gone.ID, true))

	b.open(t)

	t.Run("a running task is recovered", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(afterRestart(t, known)))
		after, err := b.InspectTask(running.ID)
		must.NoError(t, err)
		must.Eq(t, drivers.TaskStateRunning, after.State)
		must.Eq(t, before.DriverAttributes, after.DriverAttributes)
		must.True(t, before.StartedAt.Equal(after.StartedAt))
		must.Eq(t, before.NetworkOverride, after.NetworkOverride)
		must.NoError(t, b.SignalTask(running.ID, "SIGHUP"))
		waitForOutput(t, running, "got hangup") // its output still arrives
		must.StrContains(t, b.exec(t, running.ID, "env"), "SECRET=planted-secret\n")
	})

	t.Run("a task that the plugin knows is left alone", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(afterRestart(t, known)))
	})

	t.Run("a task that has ended returns its exit code", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(afterRestart(t, exited)))
		result := b.wait(t, ended.ID)
		must.Eq(t, 3, result.ExitCode)
		must.NoError(t, result.Err)
	})

	t.Run("a task whose end nobody saw has failed", func(t *testing.T) {
		killAll(t, b, unseen)
		must.NoError(t, b.RecoverTask(afterRestart(t, unseen)))
		result := b.wait(t, lost.ID)
		must.Eq(t, unknownCode, result.ExitCode)
		must.ErrorContains(t, result.Err, "exit status of the command is unknown: its supervisor is gone")
		must.False(t, result.Successful())
	})

	t.Run("a task that was destroyed is an error", func(t *testing.T) {
		must.ErrorContains(t, b.RecoverTask(afterRestart(t, destroyed)), "cannot recover task: no such pot: web_")
	})

	t.Run("a handle of another version is an error", func(t *testing.T) {
		for version, want := range map[int]string{
			2: "cannot recover task: task handle version 2 is from nomad-pot-driver",
			9: "cannot recover task: task handle version 9 is from a newer driver",
		} {
			h := afterRestart(t, destroyed)
			h.Version = version
			must.ErrorContains(t, b.RecoverTask(h), want)
		}
	})

	t.Run("a task that was not recovered is destroyed by its pot's name", func(t *testing.T) {
		b.open(t)
		must.NoError(t, b.StopTask(running.ID, time.Second, "SIGUSR2"))
		for _, cfg := range []*drivers.TaskConfig{running, ended, lost, gone} {
			must.NoError(t, b.DestroyTask(cfg.ID, true))
		}
		nothingLeft(t, b.dir)
	})
}

// Nomad calls StartTask again if the plugin dies during a start.
func TestDriver_StartTask_again(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, "", "sleep", "1h")
	b.start(t, cfg)
	b.open(t)
	b.start(t, cfg)
	must.StrContains(t, b.exec(t, cfg.ID, "id"), "addr 10.213.")
}
