package driver

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// tasks are those that the plugin knows. The zero value knows none.
type tasks struct {
	mu           sync.Mutex
	byID         map[TaskID]*task // nil while it is claimed
	reservations map[TaskID]reservation
}

// reservation is on the ID of a task that is being started or recovered.
type reservation struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it is
}

// begin claims id, unless it is taken. Until it is settled the context that is
// returned ends when the task is called off.
func (ts *tasks) begin(ctx context.Context, id TaskID) (context.Context, bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if _, taken := ts.byID[id]; taken {
		return nil, false
	}
	if ts.byID == nil {
		ts.byID = map[TaskID]*task{}
		ts.reservations = map[TaskID]reservation{}
	}
	ctx, callOff := context.WithCancelCause(ctx)
	ts.byID[id] = nil
	ts.reservations[id] = reservation{callOff, make(chan struct{})}
	return ctx, true
}

// finish puts t where id was claimed; nil gives it up.
func (ts *tasks) finish(id TaskID, t *task) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if c, ok := ts.reservations[id]; ok {
		delete(ts.reservations, id)
		close(c.done)
		c.cancel(nil)
	}
	if t == nil {
		delete(ts.byID, id)
		return
	}
	ts.byID[id] = t
}

// errStartCancelled is of a start that Nomad did not wait for.
var errStartCancelled = errors.New("called off: it was to end before it had begun")

// cancelStart ends a start that is under way, and waits for that. Nil is that there is
// no task of that ID, now.
func (ts *tasks) cancelStart(id TaskID) *task {
	ts.mu.Lock()
	c, ok := ts.reservations[id]
	ts.mu.Unlock()
	if ok {
		c.cancel(errStartCancelled)
		<-c.done
	}
	return ts.find(id)
}

// find is nil if there is no such task. An ID that is claimed has none yet.
func (ts *tasks) find(id TaskID) *task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byID[id]
}

// pots are the pots of all tasks, of those that are being started too, by name. The
// task of one that is is nil.
func (ts *tasks) pots() map[pot.Name]*task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	all := map[pot.Name]*task{}
	for id, t := range ts.byID {
		all[id.PotName()] = t
		if t != nil { // another driver's version may have called it otherwise
			all[pot.Name(t.state.Pot)] = t
		}
	}
	return all
}

// known is the task that Nomad means. Nomad cannot tell one error of a plugin
// from another, but tests within this process can.
func (d *Driver) known(id string) (*task, error) {
	if t := d.tasks.find(TaskID(id)); t != nil {
		t.acknowledged.Store(true)
		return t, nil
	}
	return nil, drivers.ErrTaskNotFound
}
