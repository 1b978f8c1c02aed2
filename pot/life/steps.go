package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// A step makes one part of a pot, and unmakes it. A make that fails leaves
// nothing of its part behind. An unmake succeeds when the part was never made,
// or is already gone, so that what a crash left half made can be destroyed.
type step struct {
	name         string
	make, unmake func(context.Context) error

	// after are the steps whose parts this one needs: it is made when they are,
	// and unmade before them. All others may be under way at the same time.
	after []string
}

// steps is a pot's life in order: create goes down it, Destroy comes back up.
func (p *Pot) steps() []step {
	return []step{
		{"clone", p.clone, p.unclone, nil},
		{"address", p.allocateAddress, p.releaseAddress, nil},
		{"attributes", p.mergeImageAttributes, nothing, []string{"clone"}},           // in the record
		{"configure", p.configure, p.unconfigure, []string{"address", "attributes"}}, // in the clone, and gone with it
		{"hooks", p.runPrestart, p.runPoststop, []string{"configure"}},
		{"copy", p.copyIn, nothing, []string{"hooks"}}, // into the clone
		{"mount", p.mount, p.unmount, []string{"copy"}},
		{"link", p.link, p.unlink, []string{"address"}},
		{"limit", p.limit, p.unlimit, nil},
		{"jail", p.jail, p.unjail, []string{"mount", "link", "limit"}},
		{"publish", p.publish, p.withdraw, []string{"link"}},
	}
}

func nothing(context.Context) error { return nil }

// create makes the pot. If a step fails, those before it are unmade, and itself
// as well: a command that was ended may have done what it should. But what was
// there already, under the same name, is not ours to take away.
func (p *Pot) create(ctx context.Context) error {
	steps := p.steps()
	made := map[string]chan struct{}{} // closed when it is
	for _, s := range steps {
		made[s.name] = make(chan struct{})
	}
	begun := make([]bool, len(steps))
	group, going := errgroup.WithContext(ctx)
	for i, s := range steps {
		group.Go(func() error {
			for _, name := range s.after {
				select {
				case <-made[name]:
				case <-going.Done():
				}
			}
			if going.Err() != nil {
				return nil // whoever failed says why
			}
			err := p.save()
			if err == nil {
				err = s.make(going)
			}
			begun[i] = !errors.Is(err, fs.ErrExist)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			close(made[s.name])
			return nil
		})
	}
	err := group.Wait()
	if err == nil && ctx.Err() != nil && slices.Contains(begun, false) {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = p.save()
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err) // what a step sees of it can be anything
	}
	var undo []step
	for i, s := range steps {
		if begun[i] {
			undo = append(undo, s)
		}
	}
	return errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return p.unmake(ctx, undo) }))
}

// change changes the record, which another step may be writing.
func (p *Pot) change(f func(*record)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.record)
	p.saved = false
}

// save writes the record, if what is on disk is another: no part is made before
// all that is known by then is there.
func (p *Pot) save() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.saved {
		return nil
	}
	err := p.record.write(p.dir)
	p.saved = err == nil
	return err
}

// Destroy takes away the pot and all that runs in it. It may be called twice;
// what could not be taken away is told, and may be tried again.
func (p *Pot) Destroy(ctx context.Context) error {
	return p.unmake(ctx, p.steps())
}

// unmake unmakes steps, each before those that it needs, and then forgets the
// pot, unless something could not be unmade. That is no reason to leave the rest.
func (p *Pot) unmake(ctx context.Context, steps []step) error {
	gone := map[string]chan struct{}{} // closed when it has been tried
	for _, s := range steps {
		gone[s.name] = make(chan struct{})
	}
	errs := make([]error, len(steps)) // last step first
	var all sync.WaitGroup
	for i, s := range steps {
		all.Go(func() {
			defer close(gone[s.name])
			for _, later := range steps[i+1:] {
				if slices.Contains(later.after, s.name) {
					<-gone[later.name]
				}
			}
			if err := s.unmake(ctx); err != nil {
				errs[len(steps)-1-i] = fmt.Errorf("undo %s: %w", s.name, err)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.awaitEnd(ctx)
	return forget(p.dir)
}

// awaitEnd waits until a supervisor whose command has been killed has written that down,
// or gives it up where the disk is full: it would do so into a directory that is being
// removed.
func (p *Pot) awaitEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	_, _ = p.Wait(ctx) // however it ended
	if s, err := supervise.Open(p.dir); err == nil {
		_ = s.Forget(ctx)
	}
}
