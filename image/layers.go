package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxLayers bounds how many images one is layered on, one on the other.
const maxLayers = 16

// origin is what an image with that Meta is layered on: of the same source.
func (r Ref) origin(m Meta) Ref { return Ref{Source: r.Source, Name: m.Name, Tag: m.Tag} }

// below goes down what ref is layered on, from m, which its .meta says. Each is
// fetched and given to visit, which tells whether to go on.
func (s *Store) below(ctx context.Context, ref Ref, terms Terms, m Meta, p Progress, visit func(Ref, *File) (more bool, err error)) error {
	seen := []string{ref.Dataset()}
	for more := true; more && m != (Meta{}); {
		ref = ref.origin(m)
		name := ref.Dataset()
		loop := slices.Contains(seen, name)
		seen = append(seen, name)
		if loop || len(seen) > maxLayers+1 {
			return fmt.Errorf("layered on itself, or on more than %d images: %s", maxLayers, strings.Join(seen, " on "))
		}
		f, err := s.cache.Fetch(ctx, ref, terms.below(), p)
		if err != nil {
			return fmt.Errorf("layered on %s: %w", ref, err)
		}
		m = f.Meta
		if more, err = visit(ref, f); err != nil {
			return fmt.Errorf("layered on %s: %w", ref, err)
		}
	}
	return nil
}

// below are the terms for what an image is layered on: the same, but what is of the
// image alone.
func (t Terms) below() Terms {
	t.Digest, t.Again, t.Own, t.deliver = Digest{}, false, false, false
	return t
}

// layered is what an image is received on.
type layered struct {
	Meta
	origin  Snapshot // is imported
	streams func(context.Context) ([]io.ReadCloser, error)
}

// on sees to it that what ref is layered on is imported, the oldest first.
func (s *Store) on(ctx context.Context, ref Ref, terms Terms, m Meta, p Progress) (*layered, error) {
	if m == (Meta{}) {
		return nil, nil
	}
	origin, err := s.bringBelow(ctx, ref, terms, m, p)
	if err != nil {
		return nil, err
	}
	return &layered{Meta: m, origin: origin, streams: func(ctx context.Context) ([]io.ReadCloser, error) {
		return s.streams(ctx, ref, terms, m, p)
	}}, nil
}

// bringBelow imports what is not there of what ref is layered on, and returns the image
// that ref itself is on.
func (s *Store) bringBelow(ctx context.Context, ref Ref, terms Terms, m Meta, p Progress) (origin Snapshot, err error) {
	first := ref.origin(m)
	if first.Dataset() != ref.Dataset() {
		found, _, err := s.reuse(ctx, first, terms.below(), p)
		if err != nil {
			return origin, fmt.Errorf("layered on %s: %w", first, s.unusable(ctx, first, err))
		}
		if found != nil {
			return found.Snapshot, nil
		}
	}
	var missing []Ref
	err = s.below(ctx, ref, terms, m, p, func(r Ref, f *File) (bool, error) {
		missing = append(missing, r)
		if err := f.Close(); err != nil || f.Meta == (Meta{}) {
			return false, err
		}
		below := r.origin(f.Meta)
		found, _, err := s.reuse(ctx, below, terms.below(), p)
		if err != nil {
			return false, s.unusable(ctx, below, err)
		}
		return found == nil, nil
	})
	if err != nil {
		return origin, err
	}
	// The oldest first: who waits for another's import waits for one that needs none
	// that waits for it.
	for _, i := range slices.Backward(missing) {
		origin, err = s.flights.do(ctx, wanted{i.String(), terms.below().key()}, p, func(ctx context.Context, p Progress) (Snapshot, error) {
			return s.ensure(ctx, i, terms.below(), p)
		})
		if err != nil {
			return origin, fmt.Errorf("layered on %s: %w", i, err)
		}
	}
	return origin, nil
}

// streams are those of all that ref is layered on, decoded, the oldest first.
func (s *Store) streams(ctx context.Context, ref Ref, terms Terms, m Meta, p Progress) (all []io.ReadCloser, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
			all = nil
		}
	}()
	err = s.below(ctx, ref, terms, m, p, func(_ Ref, f *File) (bool, error) {
		all = append([]io.ReadCloser{both{f.Open(ctx, s.cache.options.Decode), f}}, all...)
		return true, nil
	})
	return all, err
}

func closeAll(all []io.ReadCloser) {
	for _, r := range all {
		r.Close()
	}
}

// both reads one, and closes the other with it.
type both struct {
	io.ReadCloser
	with io.Closer
}

func (b both) Close() error { return errors.Join(b.ReadCloser.Close(), b.with.Close()) }
