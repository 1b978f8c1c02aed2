package driver

import (
	"context"
	"slices"
	"time"

	"nomad-driver-pot/image/store"
)

// destroyUnusedImages destroys the images that no pot has been cloned from for
// gc.image_delay. The datasets say which are unused, so a restart of the plugin
// loses no count. Images that another tool has imported bear no label of this
// driver's, and stay.
func (r *reconciler) destroyUnusedImages(ctx context.Context, b *backend, now time.Time) {
	images := b.pots.Host().Images
	// An image that a start has found must stay until it is cloned.
	if images == nil || !r.driver.starting.TryLock() {
		return // until the next run
	}
	defer r.driver.starting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	idle, err := images.Idle(ctx, store.LabelRef)
	if err != nil {
		r.driver.logger.Warn("cannot list unused images", "error", err)
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
			log.Debug("would destroy an unused image: gc.dry_run is set")
		default:
			if err := images.Destroy(ctx, name); err != nil {
				log.Warn("cannot destroy an unused image", "error", err)
				continue
			}
			delete(r.unusedSince, name)
			log.Info("destroyed an unused image")
		}
	}
}
