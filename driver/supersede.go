package driver

import "nomad-driver-pot/pot/life"

// supersede destroys what earlier starts of a task have made, or are making, that Nomad
// never heard of: its agent was killed while it waited for StartTask, or the plugin before it
// answered. Nomad runs a task of an allocation once, so that a new start says that the earlier
// one is forgotten. The reconciler would destroy its pot too, when the grace is over. Meanwhile
// the pot would hold what the new one needs: the ports, or in a network that the task
// joins, the addresses at which it listens.
func (d *Driver) supersede(b *backend, id TaskID) {
	forgotten := d.tasks.unheard(id)
	pots, err := unknownPots(b.pots, id, d.tasks.has)
	if err != nil {
		d.logger.Warn("cannot look for pots of earlier starts", "task_id", id, "error", err)
	}
	for _, earlier := range append(forgotten, pots...) {
		d.logger.Info("destroying what an earlier start has left", "task_id", id, "earlier", earlier)
		_ = d.DestroyTask(string(earlier), true) // it logs an error, and the reconciler tries again
	}
}

// unknownPots returns the IDs of pots of other starts of a task that the plugin does not
// know. Nomad has a task recovered before it starts it again, if it knows it.
func unknownPots(pots *life.Pots, id TaskID, known func(TaskID) bool) (found []TaskID, err error) {
	all, err := allocPots(pots, id.alloc())
	for _, p := range all {
		if earlier := TaskID(p.Label(labelTask)); id.sameTask(earlier) && !known(earlier) {
			found = append(found, earlier)
		}
	}
	return found, err
}

// unheard returns the IDs of other starts of a task, under way or done, of which Nomad has
// not asked anything yet.
func (ts *tasks) unheard(id TaskID) (found []TaskID) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for other, t := range ts.byID {
		if id.sameTask(other) && (t == nil || !t.acknowledged.Load()) {
			found = append(found, other)
		}
	}
	return found
}

// has reports whether a task of that ID is known, or is being started or recovered.
func (ts *tasks) has(id TaskID) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	_, ok := ts.byID[id]
	return ok
}

// alloc returns the ID of the allocation that the task is of; "" if the task's ID is not as
// Nomad makes it.
func (id TaskID) alloc() string {
	if parts := taskIDs.FindStringSubmatch(string(id)); parts != nil {
		return parts[1]
	}
	return ""
}

// sameTask reports whether other is the ID of another start of the same task.
func (id TaskID) sameTask(other TaskID) bool {
	return id != other && id.alloc() != "" && id.alloc() == other.alloc() && id.taskName() == other.taskName()
}
