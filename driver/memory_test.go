package driver

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

// eventOf waits for an event of a task that has text in it.
func eventOf(t *testing.T, events <-chan *drivers.TaskEvent, cfg *drivers.TaskConfig, text string) string {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e := <-events:
			if e.TaskID == cfg.ID && strings.Contains(e.Message, text) {
				return e.Message
			}
		case <-late:
			t.Fatalf("no event with %q", text)
		}
	}
}

// What the kernel kills for want of memory is said in words, in an event.
func TestDriver_memoryInWords(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	need.Have(t, "limits", !slices.Contains([]string{"", "false"}, b.look(t, "driver.pot.limits")))
	events, err := b.driver.TaskEvents(t.Context())
	must.NoError(t, err)
	const use = " was killed: the pot used more than its memory limit of "

	t.Run("the command", func(t *testing.T) {
		cfg := b.task(t, `network_mode = "none"`, "eat", "200")
		b.start(t, cfg)
		result := b.wait(t, cfg.ID)
		must.True(t, result.OOMKilled)
		must.Eq(t, "The command"+use+"64 MiB (resources.memory)", eventOf(t, events, cfg, "memory"))
	})
	t.Run("another process, once, and with the key that counts", func(t *testing.T) {
		cfg := b.task(t, `network_mode = "none"`, "signals")
		cfg.Resources.NomadResources.Memory = structs.AllocatedMemoryResources{MemoryMB: 32, MemoryMaxMB: 48}
		handle, _ := b.start(t, cfg)
		says(t, cfg, "ready")
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
		events, err := b.driver.TaskEvents(t.Context())
		must.NoError(t, err)
		must.NoError(t, b.RecoverTask(forgotten(t, handle)))
		must.NoError(t, b.SignalTask(cfg.ID, "SIGUSR2"))
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
		select { // it has been told
		case e := <-events:
			must.StrNotContains(t, e.Message, "memory")
		default:
		}
	})
}

// A kill that nobody was there to see is told by the plugin that takes the task up.
func TestDriver_memoryAfterRestart(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	need.Have(t, "limits", !slices.Contains([]string{"", "false"}, b.look(t, "driver.pot.limits")))
	cfg := b.task(t, `network_mode = "none"`, "eat", "200")
	handle, _ := b.start(t, cfg)
	b.wait(t, cfg.ID)
	b.open(t)
	events, err := b.driver.TaskEvents(t.Context())
	must.NoError(t, err)
	must.NoError(t, b.RecoverTask(forgotten(t, handle)))
	must.StrContains(t, eventOf(t, events, cfg, "memory"),
		"The command was killed: the pot used more than its memory limit of 64 MiB (resources.memory or memory_max)")
}
