package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
)

// room says where a new image goes: under its own name, or beside the image that has it.
type room struct {
	taken  bool       // another image has the name
	claims *candidate // the image that its reference stood for until now; nil if none
}

// nameIn returns the name of the dataset for an image that was fetched as ref, with digest
// d. It returns fs.ErrExist if another process has imported that image meanwhile.
func (s *Store) nameIn(ctx context.Context, r room, ref image.Ref, d image.Digest) (string, error) {
	if !r.taken {
		return ref.Dataset(), nil
	}
	im, err := s.beside(ctx, ref, d, image.PullOptions{})
	if err == nil && im != nil {
		err = fmt.Errorf("image %s: %w", im.Name, fs.ErrExist)
	}
	return Beside(ref, d), err
}

// beside returns the image with that digest that is kept beside the image with ref's name,
// or nil if there is none.
func (s *Store) beside(ctx context.Context, ref image.Ref, d image.Digest, opts image.PullOptions) (*candidate, error) {
	name := Beside(ref, d)
	im, err := s.read(ctx, name, opts)
	if err == nil && im != nil && im.Digest != d {
		err = ErrNotImage
	}
	if errors.Is(err, ErrNotImage) { // it may be gone another time
		err = &image.Error{Op: "keep", What: "image " + ref.String() + " as dataset " + name, Retryable: true,
			Err: fmt.Errorf("another image is %s, and something else has this name; destroy or rename one of them", ref.Dataset())}
	}
	return im, err
}

// reuse returns the image here that ref stands for, if opts allow it. Where the labels do
// not say so, reuse asks the source, with the credentials of opts. It returns nil if there
// is no such image here; room then says where a new one goes.
func (s *Store) reuse(ctx context.Context, ref image.Ref, opts image.PullOptions, p image.StatusFunc) (im *candidate, _ room, err error) {
	named, err := s.read(ctx, ref.Dataset(), opts)
	lost := errors.Is(err, fs.ErrInvalid)
	if lost { // it may be another image
		p.Report("the labels of dataset %s are damaged: the image is kept beside it", ref.Dataset())
	} else if err != nil {
		return nil, room{}, err
	}
	im, err = s.find(ctx, ref, opts, named)
	if err != nil {
		return nil, room{}, err
	}
	r := room{taken: named != nil || lost}
	if im != nil && im.isFor(ref) {
		r.claims = im
	}
	asks := im == nil && r.taken && opts.Digest == image.Digest{}
	if asks || im != nil && im.mustAskSource(ref, opts) {
		if im, err = s.askSource(ctx, ref, opts, p, named, im); err != nil {
			return nil, r, err
		}
	}
	if im == nil {
		return nil, r, nil
	}
	if err := s.authorize(ctx, ref, opts, im, p); err != nil {
		return nil, r, err
	}
	return im, r, s.recordSource(ctx, ref, opts, im, r.claims)
}

// find returns the image that its labels say ref stands for or, if opts have a digest, the
// image with that digest; named is the dataset with ref's name.
func (s *Store) find(ctx context.Context, ref image.Ref, opts image.PullOptions, named *candidate) (*candidate, error) {
	if wantDigest := opts.Digest; wantDigest != (image.Digest{}) {
		if named != nil && named.Digest == wantDigest {
			return named, nil
		}
		return s.beside(ctx, ref, wantDigest, opts)
	}
	if named != nil && named.isFor(ref) {
		return named, nil
	}
	all, err := s.datasets.Labelled(ctx, LabelRef, LabelSources)
	if errors.Is(err, fs.ErrNotExist) { // there are no datasets at all
		return nil, nil
	}
	if err != nil {
		return nil, s.importError(ctx, ref, &image.Error{Op: "list", What: "images", Err: err})
	}
	for name, labels := range all {
		if !strings.HasPrefix(name, besideStem(ref)+"-") || labels[LabelRef] == "" {
			continue
		}
		im, err := s.read(ctx, name, opts)
		if err == nil && im != nil && im.isFor(ref) {
			return im, nil
		}
		if err != nil && !errors.Is(err, ErrNotImage) {
			return nil, err
		}
	}
	return nil, nil
}

// unsigned reports whether opts require a key with which the image is not known to be
// signed: only the last key is stored.
func (im *candidate) unsigned(opts image.PullOptions) bool {
	return opts.Key != nil && im.signer != opts.Key.Fingerprint()
}

// mustAskSource reports whether im may only be used if the source still serves it: the
// caller wants the newest, the signature is not known, or the source decides who may use it.
func (im *candidate) mustAskSource(ref image.Ref, opts image.PullOptions) bool {
	from, known := im.sources.Find(ref)
	return opts.ForcePull || im.unsigned(opts) || im.private && known && from.WithCredentials
}

// askSource asks the source for the digest it serves now, and returns the image here that
// has it, or nil. named is the dataset with ref's name, im the image that ref stood for until
// now; both may be nil. If opts have a key, askSource labels the image as signed with it:
// RemoteDigest has verified that.
func (s *Store) askSource(ctx context.Context, ref image.Ref, opts image.PullOptions, p image.StatusFunc, named, im *candidate) (*candidate, error) {
	p.Report("asking the source whether %s may be used", ref.File())
	serves, err := s.cache.RemoteDigest(ctx, ref, opts)
	switch {
	case err == nil:
	case im == nil && named != nil && named.byHand && !named.private && !named.unsigned(opts) && !opts.ForcePull && absent(err) && ctx.Err() == nil:
		// A person imported the image by hand so that it works without its source.
		p.Report("the source of %s cannot be asked: using the image that was imported by hand", ref.File())
		return named, nil
	default:
		return nil, err
	}
	switch {
	case im != nil && im.Digest == serves:
	case named != nil && named.Digest == serves:
		im = named
	default:
		if im, err = s.beside(ctx, ref, serves, opts); im == nil {
			return nil, err
		}
	}
	if im.unsigned(opts) {
		im.signer = opts.Key.Fingerprint()
		err = s.datasets.SetLabels(ctx, im.Name, map[string]string{LabelSigner: im.signer})
	}
	return im, err
}

// absent reports whether a source does not have an image, or failed in a way that may be
// temporary, such as not answering.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || image.Retryable(err) }

// recordSource labels im as the image that ref stands for, and before, which may be nil, as
// the image that it no longer stands for. A pull by digest shows only that the image came
// from ref at some time: it is recorded as superseded.
func (s *Store) recordSource(ctx context.Context, ref image.Ref, opts image.PullOptions, im, before *candidate) error {
	if before != nil && before.Name != im.Name {
		if err := s.markGone(ctx, before, ref); err != nil {
			return err
		}
	}
	from, known := im.sources.Find(ref)
	pinned := opts.Digest != image.Digest{}
	switch {
	case im.Digest == image.Digest{}, known && !from.Superseded, pinned && (known || !im.private):
		return nil
	case !known:
		from = fetch.Source{Ref: ref.String(), WithCredentials: im.private && !opts.Credentials.IsZero()}
	}
	from.Superseded = pinned
	im.sources = im.sources.With(from)
	return s.datasets.SetLabels(ctx, im.Name, map[string]string{LabelSources: im.sources.String()})
}

// markGone labels im as an image that ref no longer stands for. im may be nil, and may have
// been destroyed.
func (s *Store) markGone(ctx context.Context, im *candidate, ref image.Ref) error {
	if im == nil {
		return nil
	}
	from, found := im.sources.Find(ref)
	if !found || from.Superseded {
		return nil
	}
	from.Superseded = true
	im.sources = im.sources.With(from)
	err := s.datasets.SetLabels(ctx, im.Name, map[string]string{LabelSources: im.sources.String()})
	if errors.Is(err, fs.ErrNotExist) { // destroyed meanwhile
		return nil
	}
	return err
}

// useError returns err, the reason why an image here cannot be used, as *image.Error.
func (s *Store) useError(ctx context.Context, ref image.Ref, err error) error {
	if ctx.Err() != nil {
		return fetch.ContextError(ctx, "use", "image "+ref.Dataset())
	}
	var of *image.Error
	if errors.As(err, &of) {
		return of
	}
	return &image.Error{Op: "use", What: "image " + ref.Dataset(), Err: err}
}
