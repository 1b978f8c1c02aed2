package store

import (
	"context"
	"sync"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
)

// flights are the works under way: one for each key, however many ask for it.
type pulls struct {
	mu    sync.Mutex
	byKey map[pullKey]*pull
}

// wanted is what makes two works the same.
type pullKey struct {
	ref  string
	opts image.PullOptions // Terms.key
}

// flight is one work. It goes on while anyone waits for it.
type pull struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when snapshot and err are there

	imported Imported
	err      error

	waiting int // flights.mu

	mu      sync.Mutex
	waiters map[*waiter]bool
	last    string // message, for those who come later
}

// asker is one of those who wait.
type waiter struct {
	progress image.StatusFunc
}

// do returns what work returns, which is called once for all who ask at the
// same time. When the last of them has given up, its context ends and do waits
// for work to clear up. work's Progress speaks to all of them.
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

// join has a wait for the work for key, which is begun if it is not under way: a is told
// of it from its beginning.
func (fs *pulls) join(ctx context.Context, key pullKey, a *waiter,
	work func(context.Context, image.StatusFunc) (Imported, error)) *pull {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.byKey[key]; ok {
		f.waiting++
		f.add(a)
		return f
	}
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

// leave ends the work if nobody is left who waits for it; who asks from now on
// begins another.
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

// forget makes room for another work of that key.
func (fs *pulls) forget(key pullKey, f *pull) {
	if fs.byKey[key] == f {
		delete(fs.byKey, key)
	}
}

// add tells a what was last told, and what is told from now on.
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

// report is the work's Progress.
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
