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

// A step makes one part of a pot, and unmakes it. A make that fails leaves nothing of its
// part behind. unmake returns nil if the part was never made or is already gone, so that a
// pot that a crash has left half made can be destroyed.
type step struct {
	name         string
	make, unmake func(context.Context) error

	// after names the steps whose parts this one needs: it is made after them and unmade
	// before them. It runs side by side with all other steps.
	after []string
}

// steps returns the parts of a pot in the order that create makes them. Destroy unmakes
// them in the opposite order.
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

// create makes the pot. If a step fails, it is unmade with all steps that have begun: a
// command that was killed may still have made its part. But a step that returns
// fs.ErrExist is not unmade: the part of that name belongs to another pot or tool.
func (p *Pot) create(ctx context.Context) error {
	steps := p.steps()
	made := map[string]chan struct{}{} // by step; closed when its part is made
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
				return nil // the step that failed returns the reason
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
		err = fmt.Errorf("%w: %w", cause, err) // a step's own error may not name it
	}
	var undo []step
	for i, s := range steps {
		if begun[i] {
			undo = append(undo, s)
		}
	}
	return errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return p.unmake(ctx, undo) }))
}

// change calls f to change the record, while no other step changes or writes it.
func (p *Pot) change(f func(*record)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.record)
	p.saved = false
}

// save writes the record unless it is as on disk. create calls it before each step, so that
// a part is never on the host before the record has what is needed to remove it.
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

// Destroy removes the pot and all that runs in it. It may be called twice. Its error names
// the parts that could not be removed; a further call tries them again.
func (p *Pot) Destroy(ctx context.Context) error {
	return p.unmake(ctx, p.steps())
}

// unmake unmakes steps, each before the steps that it needs, and then removes the pot's
// record. If a step cannot be unmade, the others are unmade nevertheless, and the record
// stays.
func (p *Pot) unmake(ctx context.Context, steps []step) error {
	gone := map[string]chan struct{}{} // by step; closed when unmake has returned, with an error too
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
	if err := forget(p.dir); err != nil {
		return err
	}
	return p.leave(ctx)
}

// awaitEnd waits until the supervisor of a killed command has written how the command ended,
// or has given that up because the disk is full: otherwise it would write into a directory
// that is being removed.
func (p *Pot) awaitEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	_, _ = p.Wait(ctx) // however it ended
	if s, err := supervise.Open(p.dir); err == nil {
		_ = s.Forget(ctx)
	}
}
