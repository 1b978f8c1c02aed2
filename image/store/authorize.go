package store

import (
	"context"
	"fmt"
	"strings"

	"nomad-driver-pot/image"
)

// authorize returns nil if a caller that asks for ref may use the image. An image that was
// pulled without credentials is for everyone. For an image that was pulled with
// credentials, the caller's source decides: a server that it was pulled from is asked with
// the caller's credentials; any other source must send the whole file, since a digest is
// no secret.
func (s *Store) authorize(ctx context.Context, ref image.Ref, opts image.PullOptions, im *candidate, p image.StatusFunc) error {
	if !im.private {
		return nil
	}
	from, known := im.sources.Find(ref)
	switch {
	case !known:
		opts.Digest, opts.Refetch = im.Digest, true
		f, err := s.cache.Fetch(ctx, ref, opts, p)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	case from.WithCredentials:
		if err := s.cache.CheckAccess(ctx, ref, opts); err != nil {
			return err
		}
	default:
		return nil // the server has sent it without credentials
	}
	return s.authorizeOrigin(ctx, ref, opts, im, p)
}

// authorizeOrigin is authorize for the image that im is layered on: a clone of im shows
// the files of both.
func (s *Store) authorizeOrigin(ctx context.Context, ref image.Ref, opts image.PullOptions, im *candidate, p image.StatusFunc) error {
	m, d, err := s.originOf(ctx, ref, opts, im)
	if err != nil || m == (image.Meta{}) {
		return err
	}
	below, opts := originRef(ref, m), originOptions(opts)
	opts.Digest = d
	found, _, err := s.reuse(ctx, below, opts, p)
	if err == nil && found == nil { // the origin is not here any more
		opts.Refetch = true
		var f *image.File
		if f, err = s.cache.Fetch(ctx, below, opts, p); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("layered on %s: %w", below, err)
	}
	return nil
}

// originOf returns what im is layered on, zero if nothing, and the origin's digest. For an
// image without LabelOrigin, which an earlier version may have imported, it asks the source
// and returns no digest.
func (s *Store) originOf(ctx context.Context, ref image.Ref, opts image.PullOptions, im *candidate) (m image.Meta, d image.Digest, err error) {
	if im.origin == "" {
		m, err = s.cache.AnnouncedMeta(ctx, ref, opts)
		return m, d, err
	}
	meta, digest, _ := strings.Cut(im.origin, " ")
	if m, err = image.ParseMeta([]byte(meta + "\n")); err == nil {
		d, err = image.ParseDigest(digest)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", LabelOrigin, err)
	}
	return m, d, err
}
