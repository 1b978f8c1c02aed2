package store

import (
	"context"
	"sync"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
)

// pulls are the pulls in progress: one for each key, however many callers wait for it. Unlike
// singleflight.Group, it cancels the work when all callers have gone, and reports the
// progress of the work to each of them. The zero value is ready to use.
type pulls struct {
	mu    sync.Mutex
	byKey map[pullKey]*pull
}

// pullKey identifies a pull: calls with equal keys share one.
type pullKey struct {
	ref  string
	opts image.PullOptions // PullOptions.Comparable
}

// pull is a pull in progress. It is cancelled when nobody waits for it.
type pull struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when imported and err are set

	imported Imported
	err      error

	waiting int // guarded by pulls.mu

	mu      sync.Mutex
	waiters map[*waiter]bool
	last    string // message, for waiters that join later
}

// waiter is a caller that waits for a pull.
type waiter struct {
	progress image.StatusFunc
}

// do returns the result of work, which runs once for all concurrent callers with the same
// key. A caller whose context ends returns early; the last one also cancels work's context,
// and waits until work has cleaned up. work's StatusFunc reports to all callers.
func (fs *pulls) do(ctx context.Context, key pullKey, p image.StatusFunc,
	work func(context.Context, image.StatusFunc) (Imported, error)) (Imported, error) {
	a := &waiter{p}
	f := fs.join(ctx, key, a, work)
	defer f.remove(a)
	select {
	case <-f.done:
		return f.imported, f.err
	case <-ctx.Done():
		if fs.leave(key, f, context.Cause(ctx)) {
			<-f.done
		}
		return Imported{}, fetch.ContextError(ctx, "wait for", key.ref)
	}
}

// join adds a to the waiters of the pull for key, and starts it if there is none. A new
// pull reports to a from its beginning.
func (fs *pulls) join(ctx context.Context, key pullKey, a *waiter,
	work func(context.Context, image.StatusFunc) (Imported, error)) *pull {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.byKey[key]; ok {
		f.waiting++
		f.add(a)
		return f
	}
	// The first caller may go while others wait: only leave ends work's context.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f := &pull{cancel: cancel, done: make(chan struct{}), waiting: 1, waiters: map[*waiter]bool{a: true}}
	if fs.byKey == nil {
		fs.byKey = map[pullKey]*pull{}
	}
	fs.byKey[key] = f
	go func() {
		f.imported, f.err = work(ctx, f.report)
		fs.mu.Lock()
		fs.forget(key, f)
		fs.mu.Unlock()
		cancel(nil)
		close(f.done)
	}()
	return f
}

// leave removes a waiter, and cancels the pull if it was the last. The next caller starts
// another pull, even if this one has not ended yet.
func (fs *pulls) leave(key pullKey, f *pull, cause error) (last bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.waiting--
	if f.waiting > 0 {
		return false
	}
	fs.forget(key, f)
	f.cancel(cause)
	return true
}

// forget lets the next caller start another pull for that key. It does nothing if that has
// happened: after leave, key may have a later pull. fs.mu must be locked.
func (fs *pulls) forget(key pullKey, f *pull) {
	if fs.byKey[key] == f {
		delete(fs.byKey, key)
	}
}

// add reports the last message to a, and all later ones.
func (f *pull) add(a *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiters[a] = true
	if f.last != "" && a.progress != nil {
		a.progress(f.last)
	}
}

func (f *pull) remove(a *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiters, a)
}

// report is the StatusFunc of work.
func (f *pull) report(message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = message
	for a := range f.waiters {
		if a.progress != nil {
			a.progress(message)
		}
	}
}
