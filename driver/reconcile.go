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
	driver *Driver
	seen   map[pot.Name]time.Time // strays, since when
	told   map[pot.Name]bool      // of which a dry run has told
	idle   map[string]time.Time   // images, since when
}

func newReconciler(d *Driver) *reconciler {
	return &reconciler{driver: d, seen: map[pot.Name]time.Time{}, told: map[pot.Name]bool{}, idle: map[string]time.Time{}}
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
		case d.agent.since(time.Now()) < 0:
			r = newReconciler(d) // whatever was seen is to be seen again
		case b.pots != nil && b.enabled:
			r.look(d.ctx, b, time.Now())
		}
		select {
		case <-time.After(cmp.Or(b.gc.interval, defaultInterval)):
		case <-d.ctx.Done():
			return
		}
	}
}

// look takes away what the configuration says.
func (r *reconciler) look(ctx context.Context, b *backend, now time.Time) {
	if b.gc.pots {
		r.pass(ctx, b, now)
	}
	if b.gc.images {
		r.collect(ctx, b, now)
	}
}

// passWithin bounds a look at the host, and the end of one pot.
const passWithin = 2 * time.Minute

// pass looks once. A pot is a stray when it has the name of a task's and no task is
// of that name, for as long as the grace.
func (r *reconciler) pass(ctx context.Context, b *backend, now time.Time) {
	looking, cancel := context.WithTimeout(ctx, passWithin)
	defer cancel()
	marked, err := b.pots.Leftovers(looking)
	if err != nil {
		r.driver.logger.Warn("cannot look for what is left of tasks", "error", err)
		return
	}
	known := r.known(b, now)
	strays := slices.DeleteFunc(marked, func(name pot.Name) bool { return !isTasks(name) || known(name) })
	for name := range r.seen {
		if !slices.Contains(strays, name) {
			delete(r.seen, name)
			delete(r.told, name)
		}
	}
	for _, name := range strays {
		since, ok := r.seen[name]
		if !ok {
			r.seen[name] = now
			since = now
		}
		if now.Sub(since) >= b.gc.grace {
			r.take(ctx, b, name, now)
		}
	}
}

// known tells whether Nomad knows of a task, and will say when it is to end. Of one
// that could not be destroyed it has forgotten. Of one that the plugin started for an
// agent that was killed before it was told, it never knew: the next agent, which goes
// on with this plugin, has not spoken of it when it has been there for the grace.
func (r *reconciler) known(b *backend, now time.Time) func(pot.Name) bool {
	all := r.driver.tasks.pots()
	there := r.driver.agent.since(now) >= b.gc.grace
	return func(name pot.Name) bool {
		t, ok := all[name]
		return ok && (t == nil || !t.left.Load() && (t.heard.Load() || !there))
	}
}

// take takes away a stray, unless this is a dry run.
func (r *reconciler) take(ctx context.Context, b *backend, name pot.Name, now time.Time) {
	log := r.driver.logger.With("pot", name, "seen_for", now.Sub(r.seen[name]).Round(time.Second))
	if b.gc.dryRun {
		if !r.told[name] {
			log.Info("would take away what is left of a task that Nomad does not know: gc.dry_run is set")
			r.told[name] = true
		}
		return
	}
	if r.known(b, now)(name) {
		return // it is since
	}
	ctx, cancel := context.WithTimeout(ctx, passWithin)
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
	delete(r.seen, name)
}
