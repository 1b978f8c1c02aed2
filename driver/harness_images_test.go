package driver

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// builtName is the name of images that tests build or export.
const builtName = "rebuilt"

// built builds image name:1.0 with the files of the real image, but for its
// /etc/motd, and serves it.
func built(t *testing.T, server *imagetest.Server, name, motd string, conf conf.New) build.Files {
	t.Helper()
	a, err := build.Build(t.Context(), build.BuildOptions{
		Name: name, Tag: "1.0", Dir: t.TempDir(), From: helloTree(t, motd), Conf: conf,
	})
	must.NoError(t, err)
	serve(t, server, a)
	return a
}

// serve serves an image's files.
func serve(t *testing.T, server *imagetest.Server, a build.Files) {
	t.Helper()
	for _, path := range []string{a.XZ, a.Meta, a.Skein} {
		data, err := os.ReadFile(path)
		must.NoError(t, err)
		server.Put(filepath.Base(path), data)
	}
}

// helloTree returns a directory with the files of the real image and another /etc/motd.
func helloTree(t *testing.T, motd string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	_, err = zstream.Extract(t.Context(), xz.NewReader(bytes.NewReader(imagetest.Hello(""))), root, zstream.Options{})
	must.NoError(t, err)
	must.NoError(t, root.WriteFile("m/etc/motd", []byte(motd), 0o644))
	return filepath.Join(dir, "m")
}

// destroyAtEnd destroys the images of these names, and others kept beside them, at the end of
// the test. Tasks that are made after this call are destroyed before.
func (b *bed) destroyAtEnd(names ...string) {
	images := b.driver.current().pots.Host().Images
	b.t.Cleanup(func() {
		for _, name := range names {
			all, err := images.List(context.Background(), name)
			must.NoError(b.t, err)
			for _, one := range all {
				if one == name || strings.HasPrefix(one, name+"-") {
					must.NoError(b.t, images.Destroy(context.Background(), one))
				}
			}
		}
	})
}
