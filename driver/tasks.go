package driver

import (
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// tasks are those that the plugin knows. The zero value knows none.
type tasks struct {
	mu   sync.Mutex
	byID map[TaskID]*task // nil while it is being started
}

// claim reserves id for a task that is being started or recovered, unless it is
// taken.
func (ts *tasks) claim(id TaskID) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if _, taken := ts.byID[id]; taken {
		return false
	}
	if ts.byID == nil {
		ts.byID = map[TaskID]*task{}
	}
	ts.byID[id] = nil
	return true
}

// settle puts t where id was claimed; nil gives it up.
func (ts *tasks) settle(id TaskID, t *task) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t == nil {
		delete(ts.byID, id)
		return
	}
	ts.byID[id] = t
}

// find is nil if there is no such task. An ID that is claimed has none yet.
func (ts *tasks) find(id TaskID) *task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byID[id]
}

// pots are the names of the pots of all tasks, of those that are being started too.
func (ts *tasks) pots() map[pot.Name]bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	all := map[pot.Name]bool{}
	for id := range ts.byID {
		all[id.PotName()] = true
	}
	return all
}

// known is the task that Nomad means. Nomad cannot tell one error of a plugin
// from another, but tests within this process can.
func (d *Driver) known(id string) (*task, error) {
	if t := d.tasks.find(TaskID(id)); t != nil {
		return t, nil
	}
	return nil, drivers.ErrTaskNotFound
}
