package driver

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// tasks are the tasks that the plugin knows. The zero value is ready to use. A
// start or a recovery reserves its task's ID with begin, and must end with
// finish.
type tasks struct {
	mu           sync.Mutex
	byID         map[TaskID]*task // nil while the ID is reserved
	reservations map[TaskID]reservation
}

// reservation holds the ID of a task that is being started or recovered.
type reservation struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed by finish
}

// begin reserves id, and reports whether it was free. The context that it
// returns ends with cancelStart.
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
	ctx, cancel := context.WithCancelCause(ctx)
	ts.byID[id] = nil
	ts.reservations[id] = reservation{cancel, make(chan struct{})}
	return ctx, true
}

// finish ends id's reservation, if there is one, and makes t the task of that ID.
// If t is nil the ID is free again.
func (ts *tasks) finish(id TaskID, t *task) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if r, ok := ts.reservations[id]; ok {
		delete(ts.reservations, id)
		close(r.done)
		r.cancel(nil)
	}
	if t == nil {
		delete(ts.byID, id)
		return
	}
	ts.byID[id] = t
}

// errStartCancelled is the error of a start that Nomad did not wait for.
var errStartCancelled = errors.New("start cancelled: the task was stopped before it was running")

// cancelStart cancels a start that is under way, and waits until it has ended. It
// returns the task of that ID, or nil if there is none.
func (ts *tasks) cancelStart(id TaskID) *task {
	ts.mu.Lock()
	r, ok := ts.reservations[id]
	ts.mu.Unlock()
	if ok {
		r.cancel(errStartCancelled)
		<-r.done
	}
	return ts.find(id)
}

// find returns nil if there is no such task, or if its ID is only reserved.
func (ts *tasks) find(id TaskID) *task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byID[id]
}

// pots returns the tasks by the names of their pots. A task that is being started
// is nil.
func (ts *tasks) pots() map[pot.Name]*task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	all := map[pot.Name]*task{}
	for id, t := range ts.byID {
		all[id.PotName()] = t
		if t != nil { // another version of the driver may name pots differently
			all[pot.Name(t.state.Pot)] = t
		}
	}
	return all
}

// lookup returns the task that an RPC of Nomad's names. Nomad sees the text of
// the error alone; drivers.ErrTaskNotFound is for tests within this process.
func (d *Driver) lookup(id string) (*task, error) {
	if t := d.tasks.find(TaskID(id)); t != nil {
		t.acknowledged.Store(true)
		return t, nil
	}
	return nil, drivers.ErrTaskNotFound
}
