package driver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"nomad-driver-pot/pot"
)

// reconciler takes away what is left of tasks that Nomad does not know: of a plugin
// that was killed while it started one, of a task whose end failed, of a machine
// that was restarted. What it goes by is on the things themselves.
type reconciler struct {
	driver      *Driver
	firstSeen   map[pot.Name]time.Time // strays, since when
	reported    map[pot.Name]bool      // of which a dry run has told
	unusedSince map[string]time.Time   // images, since when
}

func newReconciler(d *Driver) *reconciler {
	return &reconciler{driver: d, firstSeen: map[pot.Name]time.Time{}, reported: map[pot.Name]bool{}, unusedSince: map[string]time.Time{}}
}

// reconcile goes on until the plugin ends. It is begun by the first fingerprint:
// Nomad starts plugin processes that are never asked for one, and run no tasks. A
// plugin whose agent was killed takes nothing away: what it does not know may belong
// to an agent that has come since, with a plugin of its own.
func (d *Driver) reconcile() {
	r := newReconciler(d)
	for {
		b := d.current()
		switch {
		case d.agent.attachedFor(time.Now()) < 0:
			r = newReconciler(d) // whatever was seen is to be seen again
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

// run takes away what the configuration says.
func (r *reconciler) run(ctx context.Context, b *backend, now time.Time) {
	if b.gc.pots {
		r.reconcileOnce(ctx, b, now)
	}
	if b.gc.images {
		r.collect(ctx, b, now)
	}
}

// reconcileTimeout bounds a look at the host, and the end of one pot.
const reconcileTimeout = 2 * time.Minute

// reconcileOnce looks once. A pot is a stray when it has the name of a task's and no task is
// of that name, for as long as the grace.
func (r *reconciler) reconcileOnce(ctx context.Context, b *backend, now time.Time) {
	looking, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	marked, err := b.pots.Marked(looking)
	if err != nil {
		r.driver.logger.Warn("cannot look for what is left of tasks", "error", err)
		return
	}
	known := r.known(b, now)
	strays := slices.DeleteFunc(marked, func(name pot.Name) bool { return !isTaskPot(name) || known(name) })
	for name := range r.firstSeen {
		if !slices.Contains(strays, name) {
			delete(r.firstSeen, name)
			delete(r.reported, name)
		}
	}
	for _, name := range strays {
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

// known tells whether Nomad knows of a task, and will say when it is to end. Of one
// that could not be destroyed it has forgotten. Of one that the plugin started for an
// agent that was killed before it was told, it never knew: the next agent, which goes
// on with this plugin, has not spoken of it when it has been there for the grace.
func (r *reconciler) known(b *backend, now time.Time) func(pot.Name) bool {
	all := r.driver.tasks.pots()
	there := r.driver.agent.attachedFor(now) >= b.gc.grace
	return func(name pot.Name) bool {
		t, ok := all[name]
		return ok && (t == nil || !t.destroyFailed.Load() && (t.acknowledged.Load() || !there))
	}
}

// destroyDangling takes away a stray, unless this is a dry run.
func (r *reconciler) destroyDangling(ctx context.Context, b *backend, name pot.Name, now time.Time) {
	log := r.driver.logger.With("pot", name, "seen_for", now.Sub(r.firstSeen[name]).Round(time.Second))
	if b.gc.dryRun {
		if !r.reported[name] {
			log.Info("would take away what is left of a task that Nomad does not know: gc.dry_run is set")
			r.reported[name] = true
		}
		return
	}
	if r.known(b, now)(name) {
		return // it is since
	}
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	destroy := func() error { return b.pots.Destroy(ctx, name) }
	if t := r.driver.tasks.pots()[name]; t != nil {
		destroy = func() error { return r.driver.DestroyTask(string(t.id), true) }
	}
	if err := destroy(); err != nil {
		log.Warn("cannot take away what is left of a task that Nomad does not know", "error", err)
		return
	}
	log.Info("took away what was left of a task that Nomad does not know")
	delete(r.firstSeen, name)
}
