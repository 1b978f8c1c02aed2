package cli

import (
	"context"
	"errors"
	"fmt"

	"nomad-driver-pot/image/oci"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/schema"
)

// checkContainer reports errors of the flags that are for container images only.
func (b *building) checkContainer(report func(field string, err error)) {
	if oci.IsSource(b.options.From) {
		if err := oci.CheckPlatform(b.container.Platform); err != nil {
			report("--platform", err)
		}
		return
	}
	for flag, given := range map[string]bool{
		"--platform": b.container.Platform != "", "--docker-config": b.container.DockerConfig != "", "--insecure-registry": b.container.Insecure,
	} {
		if given {
			report(flag, errors.New("requires a container image, such as --from oci:DIR"))
		}
	}
}

// openContainer sets the options to the settings and the files of a container image. The caller must call the
// function when the image has been built.
func (b *building) openContainer(ctx context.Context, made *schema.Built) (func() error, error) {
	o := &b.options
	image, err := oci.Open(ctx, o.From, b.container)
	if err != nil {
		return nil, hintContainer(fmt.Errorf("cannot read the container image: %w", err))
	}
	conf, warnings, err := image.Conf(o.Conf)
	if err == nil {
		err = conf.Validate()
	}
	if err != nil {
		return nil, errors.Join(hintContainer(fmt.Errorf("cannot use the container image: %w", err)), image.Close())
	}
	for _, w := range warnings {
		o.Warn(w)
	}
	o.Conf, made.SourceDigest = conf, image.Digest
	if o.Created.IsZero() {
		o.Created = image.Created()
	}
	o.Tree = func(ctx context.Context, tar zstream.TarOptions) (*zstream.Files, error) {
		files, err := image.Tree(ctx, tar, b.bar.of("reading layers"))
		if err == nil {
			b.countBuilding()
		}
		return files, err
	}
	return image.Close, nil
}

// hintContainer adds a hint on how to use a container image that was refused.
func hintContainer(err error) error {
	var platform *oci.PlatformError
	switch {
	case errors.As(err, &platform) && len(platform.Have) > 0:
		return hinted{err, "--platform " + platform.Have[0] + " takes that image"}
	case errors.Is(err, oci.ErrNoCommand):
		return hinted{err, "--cmd sets a command"}
	case errors.Is(err, oci.ErrDenied):
		return hinted{err, "--docker-config FILE has credentials"}
	case errors.Is(err, oci.ErrPlainHTTP):
		return hinted{err, "--insecure-registry accepts it"}
	}
	return err
}
