// Package ocitest makes container images for tests.
package ocitest

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Created is when the images of New were made.
var Created = time.Unix(1795392222, 0).UTC()

// File is an entry of a layer: a regular file with a content, or what Header says.
type File struct {
	Name, Content string
	Header        tar.Header // with another Typeflag than 0 its own, without a name
}

// HardLink is the header of a further name of a file.
func HardLink(to string) tar.Header { return tar.Header{Typeflag: tar.TypeLink, Linkname: to} }

// Archive returns a tar archive of those files, which belong to root.
func Archive(all ...File) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range all {
		h := f.Header
		h.Name, h.ModTime = f.Name, Created
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(f.Content))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		check(w.WriteHeader(&h))
		_, err := io.WriteString(w, f.Content)
		check(err)
	}
	check(w.Close())
	return out.Bytes()
}

// Layer returns a layer of the archive, compressed with gzip.
func Layer(archive []byte) v1.Layer {
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil },
		tarball.WithMediaType(types.OCILayer))
	check(err)
	return l
}

// New returns an OCI image for a platform.
func New(os, arch string, c v1.Config, layers ...v1.Layer) v1.Image {
	return With(os, arch, c, func(*v1.ConfigFile) {}, layers...)
}

// With returns New's image with a changed configuration.
func With(os, arch string, c v1.Config, change func(*v1.ConfigFile), layers ...v1.Layer) v1.Image {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(image, layers...)
	check(err)
	config, err := image.ConfigFile()
	check(err)
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config, config.Created = os, arch, c, v1.Time{Time: Created}
	change(config)
	image, err = mutate.ConfigFile(image, config)
	check(err)
	return image
}

// WriteLayout adds an image with a tag to the layout in dir, which it makes if it does not
// exist.
func WriteLayout(dir, tag string, image v1.Image) {
	at, err := layout.FromPath(dir)
	if err != nil {
		at, err = layout.Write(dir, empty.Index)
	}
	check(err)
	config, err := image.ConfigFile()
	check(err)
	check(at.AppendImage(image, layout.WithPlatform(v1.Platform{OS: config.OS, Architecture: config.Architecture}),
		layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})))
}

// ArchiveDir writes the files of dir as a tar archive, as skopeo writes a layout.
func ArchiveDir(dir, to string) {
	check(os.WriteFile(filepath.Clean(to), Tree(dir), 0o644))
}

// Tree returns a tar archive of the files of dir.
func Tree(dir string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	check(w.AddFS(os.DirFS(dir)))
	check(w.Close())
	return out.Bytes()
}

// check panics on an error: what is made here has none.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
