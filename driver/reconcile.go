package driver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"nomad-driver-pot/pot"
)

// reconciler destroys dangling pots and unused images. A pot is left dangling by
// a plugin that is killed during a start, by a DestroyTask that fails, and by a
// restart of the machine. The reconciler reads what exists from the host each time,
// and remembers only when it first saw each dangling pot and unused image.
type reconciler struct {
	driver      *Driver
	firstSeen   map[pot.Name]time.Time // dangling pots
	reported    map[pot.Name]bool      // dangling pots that a dry run has logged
	unusedSince map[string]time.Time   // images
}

// newReconciler returns a reconciler that has seen nothing yet: a restart of the plugin
// begins all graces anew.
func newReconciler(d *Driver) *reconciler {
	return &reconciler{driver: d, firstSeen: map[pot.Name]time.Time{}, reported: map[pot.Name]bool{}, unusedSince: map[string]time.Time{}}
}

// reconcile runs until the plugin ends. The first Fingerprint starts it: Nomad
// also starts plugin processes that it never asks for one, and that run no tasks.
//
// A plugin whose agent was killed destroys nothing. A pot that it does not know
// may belong to a later agent, which has a plugin of its own.
func (d *Driver) reconcile() {
	r := newReconciler(d)
	for {
		b := d.current()
		switch {
		case d.agent.attachedFor(time.Now()) < 0:
			r = newReconciler(d) // every grace period begins anew
		case b.pots != nil && b.enabled:
			r.run(d.ctx, b, time.Now())
		}
		select {
		case <-time.After(cmp.Or(b.gc.interval, defaultInterval)):
		case <-d.ctx.Done():
			return
		}
	}
}

// run destroys what the configuration's gc block says.
func (r *reconciler) run(ctx context.Context, b *backend, now time.Time) {
	if b.gc.pots {
		r.reconcileOnce(ctx, b, now)
	}
	if b.gc.images {
		r.destroyUnusedImages(ctx, b, now)
	}
}

// reconcileTimeout bounds the listing of the host's pots, and the destruction of
// one pot.
const reconcileTimeout = 2 * time.Minute

// reconcileOnce destroys dangling pots. A pot is dangling if it is named like a
// task's pot and no known task has had that name for creation_grace, or like the network
// of a group that no pot has joined for that time.
func (r *reconciler) reconcileOnce(ctx context.Context, b *backend, now time.Time) {
	listing, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	marked, err := b.pots.Leftovers(listing)
	if err != nil {
		r.driver.logger.Warn("cannot list the pots of tasks", "error", err)
		return
	}
	known := r.isKnown(b, now)
	dangling := slices.DeleteFunc(marked, func(name pot.Name) bool {
		if isGroupPot(name) {
			return r.tendNetwork(listing, b, name)
		}
		return !isTaskPot(name) || known(name)
	})
	for name := range r.firstSeen {
		if !slices.Contains(dangling, name) {
			delete(r.firstSeen, name)
			delete(r.reported, name)
		}
	}
	for _, name := range dangling {
		since, ok := r.firstSeen[name]
		if !ok {
			r.firstSeen[name] = now
			since = now
		}
		if now.Sub(since) >= b.gc.grace {
			r.destroyDangling(ctx, b, name, now)
		}
	}
}

// tendNetwork reports whether the network of a group has tasks, or may have. It makes one
// work again whose supervisor was killed.
func (r *reconciler) tendNetwork(ctx context.Context, b *backend, name pot.Name) bool {
	joined, err := b.pots.Members(name)
	if err == nil && joined && !b.gc.dryRun {
		err = b.pots.MendNetwork(ctx, name)
	}
	if err != nil {
		r.driver.logger.Warn("cannot mend the network of a group", "pot", name, "error", err)
	}
	return joined || err != nil
}

// isKnown returns a function that reports whether Nomad knows a pot's task, and
// so will stop it. Nomad does not know two kinds of tasks that the plugin knows:
//
//   - It has forgotten a task whose DestroyTask failed.
//   - It never knew a task if its agent was killed before StartTask returned. The
//     next agent uses the same plugin, and has not named the task when it has been
//     attached for creation_grace.
func (r *reconciler) isKnown(b *backend, now time.Time) func(pot.Name) bool {
	all := r.driver.tasks.pots()
	attached := r.driver.agent.attachedFor(now) >= b.gc.grace
	return func(name pot.Name) bool {
		t, ok := all[name]
		return ok && (t == nil || !t.destroyFailed.Load() && (t.acknowledged.Load() || !attached))
	}
}

// destroyDangling destroys a dangling pot. In a dry run it logs the pot, once.
func (r *reconciler) destroyDangling(ctx context.Context, b *backend, name pot.Name, now time.Time) {
	log := r.driver.logger.With("pot", name, "seen_for", now.Sub(r.firstSeen[name]).Round(time.Second))
	if b.gc.dryRun {
		if !r.reported[name] {
			log.Info("would destroy a dangling pot: gc.dry_run is set")
			r.reported[name] = true
		}
		return
	}
	if r.isKnown(b, now)(name) {
		return // its task was started or named by Nomad meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	destroy := func() error { return b.pots.Destroy(ctx, name) }
	if isGroupPot(name) {
		destroy = func() error { return b.pots.DestroyUnjoined(ctx, name) }
	}
	if t := r.driver.tasks.pots()[name]; t != nil {
		destroy = func() error { return r.driver.DestroyTask(string(t.id), true) }
	}
	if err := destroy(); err != nil {
		log.Warn("cannot destroy a dangling pot", "error", err)
		return
	}
	log.Info("destroyed a dangling pot")
	delete(r.firstSeen, name)
}
