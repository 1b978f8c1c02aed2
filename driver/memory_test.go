package driver

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// An event says that the kernel has killed a process for want of memory, and which key
// of the job would change that.
func TestDriver_memory_event(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.needLimits(t)
	events := b.events(t)
	const use = " was killed: the pot used more than its memory limit of "

	t.Run("a killed command is reported with its limit", func(t *testing.T) {
		cfg := b.task(t, `network_mode = "none"`, "eat", "200")
		b.start(t, cfg)
		result := b.wait(t, cfg.ID)
		must.True(t, result.OOMKilled)
		must.Eq(t, "The command"+use+"64 MiB (resources.memory)", eventOf(t, events, cfg, "memory"))
	})
	t.Run("another killed process is reported once, with the key that sets the limit", func(t *testing.T) {
		cfg := b.task(t, `network_mode = "none"`, "signals")
		cfg.Resources.NomadResources.Memory = structs.AllocatedMemoryResources{MemoryMB: 32, MemoryMaxMB: 48}
		handle, _ := b.start(t, cfg)
		waitForOutput(t, cfg, "ready")
		eat := func() *drivers.ExitResult {
			r, err := b.ExecTask(cfg.ID, []string{"/bin/hello", "eat", "200"}, time.Minute)
			must.NoError(t, err)
			return r.ExitResult
		}
		must.Eq(t, int(syscall.SIGKILL), eat().Signal)
		got := eventOf(t, events, cfg, "memory")
		if strings.HasPrefix(got, "The command") { // rctl(8) may kill either
			return
		}
		must.Eq(t, "A process in the pot"+use+"48 MiB (resources.memory_max)", got)

		b.open(t) // the plugin was restarted
		events := b.events(t)
		must.NoError(t, b.RecoverTask(afterRestart(t, handle)))
		must.NoError(t, b.SignalTask(cfg.ID, "SIGUSR2"))
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
		select { // the first plugin has reported it
		case e := <-events:
			must.StrNotContains(t, e.Message, "memory")
		default:
		}
	})
}

// A kill that happens while no plugin runs is reported by the plugin that recovers the task.
func TestDriver_memory_afterRestart(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.needLimits(t)
	cfg := b.task(t, `network_mode = "none"`, "eat", "200")
	handle, _ := b.start(t, cfg)
	b.wait(t, cfg.ID)
	b.open(t)
	events := b.events(t)
	must.NoError(t, b.RecoverTask(afterRestart(t, handle)))
	must.StrContains(t, eventOf(t, events, cfg, "memory"),
		"The command was killed: the pot used more than its memory limit of 64 MiB (resources.memory or memory_max)")
}

func TestDriver_memory(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.needLimits(t)
	cfg := b.task(t, `network_mode = "none"`, "eat", "200")
	b.start(t, cfg)
	result := b.wait(t, cfg.ID)
	must.Eq(t, 137, result.ExitCode)
	must.True(t, result.OOMKilled)
}
