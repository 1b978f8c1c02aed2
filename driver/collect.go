package driver

import (
	"context"
	"slices"
	"time"

	"nomad-driver-pot/image"
)

// collect takes away the images that no pot is cloned from, and has not been for
// the delay. Which those are is asked of the datasets: a restart loses no count.
// Images that another tool imported bear no reference of ours, and stay.
func (r *reconciler) collect(ctx context.Context, b *backend, now time.Time) {
	images := b.pots.Host().Images
	// An image that a start has found must be there when it is cloned.
	if images == nil || !r.driver.starting.TryLock() {
		return // next time
	}
	defer r.driver.starting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	idle, err := images.Idle(ctx, image.LabelRef)
	if err != nil {
		r.driver.logger.Warn("cannot look for images that are not used", "error", err)
		return
	}
	for name := range r.unusedSince {
		if !slices.Contains(idle, name) {
			delete(r.unusedSince, name)
		}
	}
	for _, name := range idle {
		since, ok := r.unusedSince[name]
		if !ok {
			r.unusedSince[name] = now
			since = now
		}
		log := r.driver.logger.With("image", name, "idle_for", now.Sub(since).Round(time.Second))
		switch {
		case now.Sub(since) < b.gc.imageDelay:
		case b.gc.dryRun:
			log.Debug("would take away an image that is not used: gc.dry_run is set")
		default:
			if err := images.Destroy(ctx, name); err != nil {
				log.Warn("cannot take away an image that is not used", "error", err)
				continue
			}
			delete(r.unusedSince, name)
			log.Info("took away an image that was not used")
		}
	}
}
