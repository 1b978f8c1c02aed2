package driver

import (
	"testing"

	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// startedAgain returns cfg as Nomad has it when it starts the task once more.
func startedAgain(cfg *drivers.TaskConfig) *drivers.TaskConfig {
	again := cfg.Copy()
	again.ID = cfg.AllocID + "/" + cfg.Name + "/" + uuid.Short()
	return again
}

// A start of which Nomad never heard is over when Nomad starts the task again. What it has
// made does not hold what the next start needs until the reconciler finds it.
func TestDriver_startForgotten(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	exists := func(cfg *drivers.TaskConfig) bool {
		_, err := b.driver.current().pots.Find(TaskID(cfg.ID).PotName())
		return err == nil
	}
	first := b.sleeper(t)
	t.Run("its pot is destroyed", func(t *testing.T) {
		second := startedAgain(first)
		b.start(t, second)
		must.False(t, exists(first))
		must.True(t, exists(second))
		first = second
	})
	b.open(t)
	t.Run("by another plugin too", func(t *testing.T) {
		second := startedAgain(first)
		b.start(t, second)
		must.False(t, exists(first))
		must.True(t, exists(second))
		first = second
	})
	t.Run("not one that Nomad has asked for, nor one of another task or allocation", func(t *testing.T) {
		_, err := b.InspectTask(first.ID)
		must.NoError(t, err)
		task := b.task(t, `network_mode = "none"`, "sleep", "1h")
		task.AllocID = first.AllocID
		task.ID = task.AllocID + "/other/" + uuid.Short()
		b.start(t, task)
		elsewhere := b.sleeper(t)
		second := startedAgain(first)
		b.start(t, second)
		for _, cfg := range []*drivers.TaskConfig{first, task, elsewhere, second} {
			must.True(t, exists(cfg), must.Sprint(cfg.ID))
			must.NoError(t, b.DestroyTask(cfg.ID, true))
		}
	})
	t.Run("a start that is under way is cancelled", func(t *testing.T) {
		waits := b.task(t, `network_mode = "task:nosuch"`, "sleep", "1h")
		ended := make(chan error, 1)
		events := b.events(t)
		go func() {
			_, _, err := b.driver.StartTask(waits)
			ended <- err
		}()
		eventOf(t, events, waits, "Waiting for task")
		second := startedAgain(first)
		second.AllocID, second.Name = waits.AllocID, waits.Name
		second.ID = startedAgain(waits).ID
		b.start(t, second)
		must.ErrorContains(t, <-ended, "start cancelled")
		must.NoError(t, b.DestroyTask(second.ID, true))
	})
}

func TestTaskID_sameTask(t *testing.T) {
	leak.Check(t)
	alloc, other := uuid.Generate(), uuid.Generate()
	id := TaskID(alloc + "/web/00000001")
	must.True(t, id.sameTask(TaskID(alloc+"/web/00000002")))
	must.False(t, id.sameTask(id))
	must.False(t, id.sameTask(TaskID(other+"/web/00000002")))
	must.False(t, id.sameTask(TaskID(alloc+"/we/00000002")))
	must.False(t, id.sameTask(TaskID(alloc+"/web/b/00000002")))
	must.False(t, TaskID("a").sameTask("b"))
	must.Eq(t, "", TaskID("a").alloc())
}
