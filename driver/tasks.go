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
	mu    sync.Mutex
	byID  map[TaskID]*task // nil while it is claimed
	claim map[TaskID]claim
}

// claim is on the ID of a task that is being started or recovered.
type claim struct {
	callOff context.CancelCauseFunc
	settled chan struct{} // closed when it is
}

// take claims id, unless it is taken. Until it is settled the context that is
// returned ends when the task is called off.
func (ts *tasks) take(ctx context.Context, id TaskID) (context.Context, bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if _, taken := ts.byID[id]; taken {
		return nil, false
	}
	if ts.byID == nil {
		ts.byID = map[TaskID]*task{}
		ts.claim = map[TaskID]claim{}
	}
	ctx, callOff := context.WithCancelCause(ctx)
	ts.byID[id] = nil
	ts.claim[id] = claim{callOff, make(chan struct{})}
	return ctx, true
}

// settle puts t where id was claimed; nil gives it up.
func (ts *tasks) settle(id TaskID, t *task) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if c, ok := ts.claim[id]; ok {
		delete(ts.claim, id)
		close(c.settled)
		c.callOff(nil)
	}
	if t == nil {
		delete(ts.byID, id)
		return
	}
	ts.byID[id] = t
}

// errCalledOff is of a start that Nomad did not wait for.
var errCalledOff = errors.New("called off: it was to end before it had begun")

// callOff ends a start that is under way, and waits for that. Nil is that there is
// no task of that ID, now.
func (ts *tasks) callOff(id TaskID) *task {
	ts.mu.Lock()
	c, ok := ts.claim[id]
	ts.mu.Unlock()
	if ok {
		c.callOff(errCalledOff)
		<-c.settled
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
		t.heard.Store(true)
		return t, nil
	}
	return nil, drivers.ErrTaskNotFound
}
