package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// SidecarName is the image with the program of testdata/sidecar.
const SidecarName = "sidecar"

// buildSidecar builds that image, of that program alone, into the directory of images.
func (c *Cluster) buildSidecar() error {
	tree := c.path("sidecar")
	if err := os.MkdirAll(filepath.Join(tree, "bin"), 0o755); err != nil {
		return err
	}
	program, err := os.ReadFile(filepath.Join(c.config.Plugins, "sidecar"))
	if err != nil {
		return fmt.Errorf("a program of the example jobs: %w; run make sidecar", err)
	}
	if err := os.WriteFile(filepath.Join(tree, "bin/sidecar"), program, 0o755); err != nil {
		return err
	}
	_, err = build.Build(context.Background(), build.BuildOptions{
		Name: SidecarName, Tag: imagetest.HelloTag, Dir: c.path("images"), From: tree,
		Conf: conf.New{Command: "/bin/sidecar"}, XZ: xz.WriteOptions{Workers: 1},
	})
	return err
}
