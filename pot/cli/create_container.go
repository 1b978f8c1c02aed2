package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// fromContainer creates the pot from a container image, as a stream on every host: tar(1) knows
// no whiteouts. It looks for a pot of that name first, since a registry may be slow.
func (m *creating) fromContainer(c *cobra.Command, o *hostFlags, ps *life.Pots) (*local.Pot, error) {
	if _, err := local.Open(c.Context(), ps.Host(), pot.Name(m.name)); err == nil {
		return nil, pot.Reword(fs.ErrExist, "pot %s already exists", m.name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	m.container.Spool = o.spool()
	image, err := m.container.openImage(c.Context(), m.base)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	conf, err := m.container.settings(aboveBar(m.bar, c), image.BaseConf)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.base, err)
	}
	m.made.SourceDigest, m.made.Base = image.Digest, conf.Base
	return m.receive(c, o, ps, build.BuildOptions{
		From: m.base, Conf: conf, Created: image.Created(),
		Tree: func(ctx context.Context, tar zstream.TarOptions) (*zstream.Files, error) {
			defer m.bar.done()
			return image.Tree(ctx, tar, m.bar.of("reading layers"))
		},
	})
}
