package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"nomad-driver-pot/image"
)

// maxLayers bounds the chain of origins of an image.
const maxLayers = 16

// originRef returns the reference of the image that m names, at the same source as r.
func originRef(r image.Ref, m image.Meta) image.Ref {
	return image.Ref{Source: r.Source, Name: m.Name, Tag: m.Tag}
}

// walkOrigins fetches each image that ref is layered on, the nearest first, and calls visit
// with it, which must close it; m is ref's own .meta. It stops when visit returns false or
// an error.
func (s *Store) walkOrigins(ctx context.Context, ref image.Ref, opts image.PullOptions, m image.Meta, p image.StatusFunc, visit func(image.Ref, *image.File) (more bool, err error)) error {
	seen := []string{ref.Dataset()}
	for more := true; more && m != (image.Meta{}); {
		ref = originRef(ref, m)
		name := ref.Dataset()
		loop := slices.Contains(seen, name)
		seen = append(seen, name)
		if loop || len(seen) > maxLayers+1 {
			return fmt.Errorf("layered on itself, or on more than %d images: %s", maxLayers, strings.Join(seen, " on "))
		}
		f, err := s.cache.Fetch(ctx, ref, originOptions(opts), p)
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

// originOptions returns the options to pull an image's origins with: t without the options
// that concern the image alone. A key and credentials apply to origins too.
func originOptions(t image.PullOptions) image.PullOptions {
	t.Digest, t.ForcePull, t.AsPot, t.Refetch = image.Digest{}, false, false, false
	return t
}

// originDataset is the image that another one is received on.
type originDataset struct {
	image.Meta
	origin  Imported
	streams func(context.Context) ([]io.ReadCloser, error) // originStreams; may be called repeatedly
}

// ensureOrigins imports the images that ref is layered on, unless they are here, and returns
// the one that ref is received on. It returns nil if m is zero: ref is not layered.
func (s *Store) ensureOrigins(ctx context.Context, ref image.Ref, opts image.PullOptions, m image.Meta, p image.StatusFunc) (*originDataset, error) {
	if m == (image.Meta{}) {
		return nil, nil
	}
	origin, err := s.importOrigins(ctx, ref, opts, m, p)
	if err != nil {
		return nil, err
	}
	return &originDataset{Meta: m, origin: origin, streams: func(ctx context.Context) ([]io.ReadCloser, error) {
		return s.originStreams(ctx, ref, opts, m, p)
	}}, nil
}

// importOrigins imports the origins of ref that are not here, and returns the image that
// ref itself is layered on. It fetches no further than the first origin that is here.
func (s *Store) importOrigins(ctx context.Context, ref image.Ref, opts image.PullOptions, m image.Meta, p image.StatusFunc) (origin Imported, err error) {
	first := originRef(ref, m)
	if first.Dataset() != ref.Dataset() {
		found, _, err := s.reuse(ctx, first, originOptions(opts), p)
		if err != nil {
			return origin, fmt.Errorf("layered on %s: %w", first, s.useError(ctx, first, err))
		}
		if found != nil {
			return found.Imported, nil
		}
	}
	var missing []image.Ref
	err = s.walkOrigins(ctx, ref, opts, m, p, func(r image.Ref, f *image.File) (bool, error) {
		missing = append(missing, r)
		if err := f.Close(); err != nil || f.Meta == (image.Meta{}) {
			return false, err
		}
		below := originRef(r, f.Meta)
		found, _, err := s.reuse(ctx, below, originOptions(opts), p)
		if err != nil {
			return false, s.useError(ctx, below, err)
		}
		return found == nil, nil
	})
	if err != nil {
		return origin, err
	}
	// The oldest first, so that two pulls that share origins never wait for each other.
	for _, i := range slices.Backward(missing) {
		origin, err = s.pulls.do(ctx, pullKey{i.String(), originOptions(opts).Comparable()}, p, func(ctx context.Context, p image.StatusFunc) (Imported, error) {
			return s.ensure(ctx, i, originOptions(opts), p)
		})
		if err != nil {
			return origin, fmt.Errorf("layered on %s: %w", i, err)
		}
	}
	return origin, nil
}

// originStreams returns the decoded streams of all origins of ref, the oldest first; the
// caller must close them. It fetches origins that are no longer in the cache: verifying the
// stream of a layer needs the streams below it.
func (s *Store) originStreams(ctx context.Context, ref image.Ref, opts image.PullOptions, m image.Meta, p image.StatusFunc) (all []io.ReadCloser, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
			all = nil
		}
	}()
	err = s.walkOrigins(ctx, ref, opts, m, p, func(_ image.Ref, f *image.File) (bool, error) {
		all = append([]io.ReadCloser{readCloserWith{f.Open(ctx, s.cache.Options.Decode), f}}, all...)
		return true, nil
	})
	return all, err
}

func closeAll(all []io.ReadCloser) {
	for _, r := range all {
		r.Close()
	}
}

// readCloserWith is a ReadCloser whose Close also closes with.
type readCloserWith struct {
	io.ReadCloser
	with io.Closer
}

// Close implements io.Closer.
func (b readCloserWith) Close() error { return errors.Join(b.ReadCloser.Close(), b.with.Close()) }
