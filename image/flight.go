package image

import (
	"context"
	"sync"
)

// flights are the works under way: one for each key, however many ask for it.
type flights struct {
	mu    sync.Mutex
	byKey map[wanted]*flight
}

// wanted is what makes two works the same.
type wanted struct {
	ref   string
	terms Terms // Terms.key
}

// flight is one work. It goes on while anyone waits for it.
type flight struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when snapshot and err are there

	snapshot Snapshot
	err      error

	waiting int // flights.mu

	mu     sync.Mutex
	tellTo map[*asker]bool
	last   string // message, for those who come later
}

// asker is one of those who wait.
type asker struct {
	progress Progress
}

// do returns what work returns, which is called once for all who ask at the
// same time. When the last of them has given up, its context ends and do waits
// for work to clear up. work's Progress speaks to all of them.
func (fs *flights) do(ctx context.Context, key wanted, p Progress,
	work func(context.Context, Progress) (Snapshot, error)) (Snapshot, error) {
	a := &asker{p}
	f := fs.join(ctx, key, a, work)
	defer f.remove(a)
	select {
	case <-f.done:
		return f.snapshot, f.err
	case <-ctx.Done():
		if fs.leave(key, f, context.Cause(ctx)) {
			<-f.done
		}
		return Snapshot{}, gaveUp(ctx, "wait for", key.ref)
	}
}

// join has a wait for the work for key, which is begun if it is not under way: a is told
// of it from its beginning.
func (fs *flights) join(ctx context.Context, key wanted, a *asker,
	work func(context.Context, Progress) (Snapshot, error)) *flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.byKey[key]; ok {
		f.waiting++
		f.add(a)
		return f
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{}), waiting: 1, tellTo: map[*asker]bool{a: true}}
	if fs.byKey == nil {
		fs.byKey = map[wanted]*flight{}
	}
	fs.byKey[key] = f
	go func() {
		f.snapshot, f.err = work(ctx, f.tell)
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
func (fs *flights) leave(key wanted, f *flight, cause error) (last bool) {
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
func (fs *flights) forget(key wanted, f *flight) {
	if fs.byKey[key] == f {
		delete(fs.byKey, key)
	}
}

// add tells a what was last told, and what is told from now on.
func (f *flight) add(a *asker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tellTo[a] = true
	if f.last != "" && a.progress != nil {
		a.progress(f.last)
	}
}

func (f *flight) remove(a *asker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tellTo, a)
}

// tell is the work's Progress.
func (f *flight) tell(message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = message
	for a := range f.tellTo {
		if a.progress != nil {
			a.progress(message)
		}
	}
}
