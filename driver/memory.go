package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/hashicorp/nomad/plugins/drivers"
)

// memoryInterval is the time between checks for processes that the kernel has
// killed in the pots of running tasks.
const memoryInterval = 3 * time.Second

// memoryWatch reports processes that the kernel has killed for want of memory in
// running tasks. It has one goroutine, while there are such tasks.
type memoryWatch struct {
	mu       sync.Mutex
	tasks    map[*task]struct{}
	watching bool
}

// add watches t until the task or ctx ends.
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

// running returns the tasks that run. If there are none, run must return.
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

// run checks the running tasks at each memoryInterval, until there are none.
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

// endTimeout is how long it may take until the end of a command is known that the
// kernel has killed.
const endTimeout = time.Second

// reportChildKill emits an event if the kernel has killed a process in the pot and
// the task's command still runs. Another plugin process may have reported it.
func (t *task) reportChildKill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	if kills, err := t.pot.OutOfMemory(ctx); err != nil || !kills {
		return
	}
	select {
	case <-t.ended: // the command was killed or has ended since: watch reports it
		return
	case <-time.After(endTimeout):
	}
	if first, err := t.pot.ReportOutOfMemory(ctx); err == nil && first {
		t.emit("A process in the pot was killed: %s", t.memoryUse())
	}
}

// emitMemoryKills emits an event, once the command has ended, if the kernel has
// killed it or another process of the pot for want of memory. Nomad does not show
// OOMKilled of a result anywhere.
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

// memoryUse says why the kernel has killed a process of the task's pot, and which
// key of the job would change that.
func (t *task) memoryUse() string {
	limit := t.pot.MemoryBytes()
	if limit == 0 {
		return "the machine ran out of memory"
	}
	return fmt.Sprintf("the pot used more than its memory limit of %s (%s)", humanize.IBytes(uint64(limit)), t.memoryKey)
}

// memoryKey returns the job's key for the memory limit that applies. For a task
// that is recovered Nomad does not tell which it was.
func memoryKey(r *drivers.Resources) string {
	switch {
	case r == nil || r.NomadResources == nil:
		return "resources.memory or memory_max"
	case r.NomadResources.Memory.MemoryMaxMB > r.NomadResources.Memory.MemoryMB:
		return "resources.memory_max"
	}
	return "resources.memory"
}
