package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/hashicorp/nomad/plugins/drivers"
)

// memoryInterval is between looks for what the kernel has killed in the pots of tasks
// that run.
const memoryInterval = 3 * time.Second

// memoryWatch looks for kills in all tasks that run: one goroutine, while there are any.
type memoryWatch struct {
	mu       sync.Mutex
	tasks    map[*task]struct{}
	watching bool
}

// add has t looked at until it ends or ctx does.
func (w *memoryWatch) add(ctx context.Context, t *task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tasks == nil {
		w.tasks = map[*task]struct{}{}
	}
	w.tasks[t] = struct{}{}
	if !w.watching {
		w.watching = true
		go w.run(ctx)
	}
}

// running returns the tasks that run, and ends the watch if there are none.
func (w *memoryWatch) running() (all []*task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.tasks {
		if t.running() {
			all = append(all, t)
		} else {
			delete(w.tasks, t)
		}
	}
	w.watching = len(all) > 0
	return all
}

func (w *memoryWatch) run(ctx context.Context) {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all := w.running()
		if len(all) == 0 {
			return
		}
		for _, t := range all {
			t.reportChildKill(ctx)
		}
	}
}

// endTimeout is how long the end of a command may take to be known once the kernel has
// killed it.
const endTimeout = time.Second

// reportChildKill tells that the kernel has killed something in the pot, and the command
// goes on.
func (t *task) reportChildKill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	if kills, err := t.pot.OutOfMemory(ctx); err != nil || !kills {
		return
	}
	select {
	case <-t.ended: // it was the command, or the command has ended of it
		return
	case <-time.After(endTimeout):
	}
	if first, err := t.pot.ReportOutOfMemory(ctx); err == nil && first {
		t.emit("A process in the pot was killed: %s", t.memoryUse())
	}
}

// emitMemoryKills tells, when the command has ended, what the kernel has killed for want of
// memory: no command of Nomad's shows OOMKilled.
func (t *task) emitMemoryKills(ctx context.Context) {
	if t.result.OOMKilled {
		t.emit("The command was killed: %s", t.memoryUse())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	if first, err := t.pot.ReportOutOfMemory(ctx); err == nil && first {
		t.emit("A process in the pot was killed: %s", t.memoryUse())
	}
}

// memoryUse says why the kernel kills for memory in the task's pot, and what changes that.
func (t *task) memoryUse() string {
	limit := t.pot.MemoryBytes()
	if limit == 0 {
		return "there was no memory left for it"
	}
	return fmt.Sprintf("the pot used more than its memory limit of %s (%s)", humanize.IBytes(uint64(limit)), t.memoryKey)
}

// memoryKey is where a job sets the limit that counts. Nomad does not say so of a task
// that is recovered.
func memoryKey(r *drivers.Resources) string {
	switch {
	case r == nil || r.NomadResources == nil:
		return "resources.memory or memory_max"
	case r.NomadResources.Memory.MemoryMaxMB > r.NomadResources.Memory.MemoryMB:
		return "resources.memory_max"
	}
	return "resources.memory"
}
