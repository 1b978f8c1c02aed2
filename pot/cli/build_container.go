package cli

import (
	"context"
	"errors"
	"fmt"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/schema"
)

// openContainer sets the options to the settings and the files of a container image. The caller
// must call the function when the image has been built.
func (b *building) openContainer(ctx context.Context, made *schema.Built) (func() error, error) {
	o := &b.options
	image, err := b.container.openImage(ctx, o.From)
	if err != nil {
		return nil, fmt.Errorf("cannot read the container image: %w", err)
	}
	conf, err := b.container.settings(o.Warn, func() (conf.New, []string, error) { return image.Conf(o.Conf) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot use the container image: %w", err), image.Close())
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
