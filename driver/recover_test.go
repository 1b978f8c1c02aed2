package driver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// forgotten is a handle as an agent has it after a restart: without the
// driver's half of the configuration.
func forgotten(t testing.TB, h *drivers.TaskHandle) *drivers.TaskHandle {
	t.Helper()
	h = h.Copy()
	old := h.Config
	h.Config = &drivers.TaskConfig{
		ID: old.ID, Name: old.Name, AllocID: old.AllocID, AllocDir: old.AllocDir,
		Env: old.Env, User: old.User, StdoutPath: old.StdoutPath, StderrPath: old.StderrPath,
	}
	must.Error(t, h.Config.DecodeDriverConfig(new(TaskConfig)))
	return h
}

func TestDriver_RecoverTask(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	running := b.task(t, "", "signals")
	ended := b.task(t, `network_mode = "none"`, "exit", "3")
	lost := b.task(t, `network_mode = "none"`, "sleep", "1h")
	gone := b.task(t, `network_mode = "none"`, "sleep", "1h")
	known, _ := b.start(t, running)
	says(t, running, "ready")
	before, err := b.InspectTask(running.ID)
	must.NoError(t, err)
	exited, _ := b.start(t, ended)
	unseen, _ := b.start(t, lost)
	destroyed, _ := b.start(t, gone)
	must.Eq(t, 3, b.wait(t, ended.ID).ExitCode)
	must.NoError(t, b.DestroyTask(gone.ID, true))

	b.open(t)

	t.Run("a running task is taken up", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(forgotten(t, known)))
		after, err := b.InspectTask(running.ID)
		must.NoError(t, err)
		must.Eq(t, drivers.TaskStateRunning, after.State)
		must.Eq(t, before.DriverAttributes, after.DriverAttributes)
		must.True(t, before.StartedAt.Equal(after.StartedAt))
		must.Eq(t, before.NetworkOverride, after.NetworkOverride)
		must.NoError(t, b.SignalTask(running.ID, "SIGHUP"))
		says(t, running, "got hangup") // its output goes on
		must.StrContains(t, b.exec(t, running.ID, "env"), "SECRET=planted-secret\n")
	})

	t.Run("one that is known already is left alone", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(forgotten(t, known)))
	})

	t.Run("one that has ended tells how", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(forgotten(t, exited)))
		result := b.wait(t, ended.ID)
		must.Eq(t, 3, result.ExitCode)
		must.NoError(t, result.Err)
	})

	t.Run("one whose end nobody saw has failed", func(t *testing.T) {
		killAll(t, b, unseen)
		must.NoError(t, b.RecoverTask(forgotten(t, unseen)))
		result := b.wait(t, lost.ID)
		must.Eq(t, unknownCode, result.ExitCode)
		must.ErrorContains(t, result.Err, "how the command ended is not known: its supervisor is gone")
		must.False(t, result.Successful())
	})

	t.Run("one that is gone is an error", func(t *testing.T) {
		must.ErrorContains(t, b.RecoverTask(forgotten(t, destroyed)), "cannot recover task: pot web_")
	})

	t.Run("a handle of another version is an error", func(t *testing.T) {
		for version, want := range map[int]string{
			2: "cannot recover task: a handle of version 2 is nomad-pot-driver's",
			9: "cannot recover task: a handle of version 9 is of a newer driver",
		} {
			h := forgotten(t, destroyed)
			h.Version = version
			must.ErrorContains(t, b.RecoverTask(h), want)
		}
	})

	t.Run("a task that nobody took up is destroyed by its name", func(t *testing.T) {
		b.open(t)
		must.NoError(t, b.StopTask(running.ID, time.Second, "SIGUSR2"))
		for _, cfg := range []*drivers.TaskConfig{running, ended, lost, gone} {
			must.NoError(t, b.DestroyTask(cfg.ID, true))
		}
		nothingLeft(t, b.dir)
	})
}

// TestDriver_StartTask_again is what Nomad does when the plugin dies in a start.
func TestDriver_StartTask_again(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, "", "sleep", "1h")
	b.start(t, cfg)
	b.open(t)
	b.start(t, cfg)
	must.StrContains(t, b.exec(t, cfg.ID, "id"), "addr 10.213.")
}

// killAll ends the task's supervisor and its command, as a power failure would.
func killAll(t testing.TB, b *bed, h *drivers.TaskHandle) {
	t.Helper()
	s, err := readState(h)
	must.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(b.dir, "pots", s.Pot, "running.json"))
	must.NoError(t, err)
	var running struct{ Supervisor, PID int }
	must.NoError(t, json.Unmarshal(data, &running))
	for _, pid := range []int{running.Supervisor, running.PID} {
		must.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
}
