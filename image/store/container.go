package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/oci"
)

// platform is what container images must be for.
const platform = runtime.GOOS + "/" + runtime.GOARCH

// CheckDockerConfig returns an error unless the file can be PullOptions.DockerConfig: it is a
// config.json of docker that only root or this user may read.
func CheckDockerConfig(file string) error {
	if err := image.CheckPrivate(file); err != nil {
		return err
	}
	return oci.CheckDockerConfig(file)
}

// EnsureContainer is Ensure for a container image of a registry. The image is kept under a name
// with its digest and reused by that digest, or because it was pulled by the same tag. The
// registry is asked at each call for the tag latest, with opts.ForcePull, and if the image
// was pulled with credentials. c must be from image.ParseContainer.
func (s *Store) EnsureContainer(ctx context.Context, c image.Container, opts image.PullOptions, progress image.StatusFunc) (Imported, error) {
	if ctx.Err() != nil {
		return Imported{}, fetch.ContextError(ctx, "wait for", c.String())
	}
	return s.pulls.do(ctx, pullKey{c.String(), opts.Comparable()}, progress, func(ctx context.Context, p image.StatusFunc) (Imported, error) {
		for tries := 1; ; tries++ {
			im, err := s.ensureContainer(ctx, c, opts, p)
			if err == nil || !errors.Is(err, fs.ErrExist) || tries == 3 {
				return im, containerError(ctx, c, err)
			}
		}
	})
}

// containerError returns err as *image.Error, or nil.
func containerError(ctx context.Context, c image.Container, err error) error {
	var of *image.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fetch.ContextError(ctx, "pull", c.String())
	case errors.As(err, &of):
		return of
	}
	return &image.Error{Op: "pull", What: c.String(), Err: err, Retryable: oci.Retryable(err)}
}

// ensureContainer does the work of EnsureContainer once. It returns fs.ErrExist if another
// process has imported the image meanwhile.
func (s *Store) ensureContainer(ctx context.Context, c image.Container, opts image.PullOptions, p image.StatusFunc) (Imported, error) {
	all, err := s.containers(ctx)
	if err != nil {
		return Imported{}, s.importError(ctx, c, err)
	}
	before := current(all, c)
	if before != nil && !before.private && !opts.ForcePull && !c.Moves() {
		return before.Imported, nil
	}
	p.Report("asking the registry for %s", c.Reference())
	opened, err := s.openContainer(ctx, c, opts, p)
	if err != nil {
		return Imported{}, err
	}
	defer opened.Close()
	// One pull for all references to it in this repository.
	key := pullKey{ref: "import " + c.Repo + "@" + opened.Digest}
	im, err := s.pulls.do(ctx, key, p, func(ctx context.Context, p image.StatusFunc) (Imported, error) {
		return s.takeContainer(ctx, c, opened, p)
	})
	if err != nil {
		return Imported{}, err
	}
	return im, s.recordContainer(ctx, c, im, opened.WithCredentials)
}

// containers returns the container images that are here, by name.
func (s *Store) containers(ctx context.Context) (all []*candidate, err error) {
	labels, err := s.datasets.Labelled(ctx, LabelManifest)
	if errors.Is(err, fs.ErrNotExist) { // there are no datasets at all
		return nil, nil
	}
	if err != nil {
		return nil, &image.Error{Op: "list", What: "images", Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if strings.HasPrefix(name, tempPrefix) {
			continue
		}
		im, err := s.read(ctx, name, image.PullOptions{})
		switch {
		case errors.Is(err, ErrNotImage), errors.Is(err, fs.ErrInvalid): // was changed, or its labels are damaged
		case err != nil:
			return nil, err
		case im != nil && im.Manifest != "":
			all = append(all, im)
		}
	}
	return all, nil
}

// current returns the image that the reference stands for, as far as is known here, or nil.
func current(all []*candidate, c image.Container) *candidate {
	for _, im := range all {
		from, known := im.sources.FindText(c.String())
		if known && !from.Superseded || c.Digest != "" && im.Manifest == c.Digest {
			return im
		}
	}
	return nil
}

// openContainer asks the registry for the image. If the registry refuses the credentials and
// opts.AuthSoftFail is set, it asks without them.
func (s *Store) openContainer(ctx context.Context, c image.Container, opts image.PullOptions, p image.StatusFunc) (*oci.Image, error) {
	if err := s.cache.Prepare(); err != nil {
		return nil, err
	}
	limits := s.cache.Options
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Timeout, fmt.Errorf("not done within %s", limits.Timeout))
	defer cancel()
	o := oci.Options{
		Platform: platform, DockerConfig: opts.DockerConfig, NoEnvironment: true, Roots: limits.Roots, Stall: limits.StallTimeout,
		MaxBytes: limits.MaxTreeBytes, MaxStored: limits.MaxBytes,
	}
	if l := opts.Credentials; !l.IsZero() {
		o.Login = &oci.Login{Username: l.Username, Password: l.Password, Token: l.Token}
	}
	opened, err := oci.OpenRegistry(ctx, c.Reference(), o)
	if opts.AuthSoftFail && errors.Is(err, oci.ErrDenied) && (o.Login != nil || o.DockerConfig != "") {
		p.Report("the credentials are refused: asking without them")
		o.Login, o.DockerConfig = nil, ""
		opened, err = oci.OpenRegistry(ctx, c.Reference(), o)
	}
	if err != nil {
		return nil, containerError(ctx, c, err)
	}
	return opened, nil
}

// takeContainer returns the image here with the digest of the image that was opened, which the
// registry serves to the caller, or imports it. An image that was pulled from other
// repositories with credentials is only for callers whose registry sends all of it: a digest is
// no secret.
func (s *Store) takeContainer(ctx context.Context, c image.Container, opened *oci.Image, p image.StatusFunc) (Imported, error) {
	all, err := s.containers(ctx)
	if err != nil {
		return Imported{}, s.importError(ctx, c, err)
	}
	at := slices.IndexFunc(all, func(im *candidate) bool { return im.Manifest == opened.Digest })
	if at < 0 {
		return s.importContainer(ctx, c, opened, p)
	}
	if im := all[at]; im.private && !slices.ContainsFunc(im.sources, func(from fetch.Source) bool {
		of, err := image.ParseContainer(from.Ref)
		return err == nil && of.Repo == c.Repo
	}) {
		if err := s.readAll(ctx, c, opened, p); err != nil {
			return Imported{}, err
		}
	}
	return all[at].Imported, nil
}

// recordContainer labels an image as what the reference stands for, and any other as what it no
// longer stands for.
func (s *Store) recordContainer(ctx context.Context, c image.Container, im Imported, withCredentials bool) error {
	all, err := s.containers(ctx)
	if err != nil {
		return err
	}
	for _, one := range all {
		from, known := one.sources.FindText(c.String())
		switch is := one.Name == im.Name; {
		case is && (!known || from.Superseded):
			from = fetch.Source{Ref: c.String(), WithCredentials: withCredentials && one.private}
		case !is && known && !from.Superseded:
			from.Superseded = true
		default:
			continue
		}
		err := s.datasets.SetLabels(ctx, one.Name, map[string]string{LabelSources: one.sources.With(from).String()})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // destroyed meanwhile
			return fmt.Errorf("image %s: %w", one.Name, err)
		}
	}
	return nil
}
