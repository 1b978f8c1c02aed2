package oci

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"nomad-driver-pot/image/zstream"
)

// Bounds of all layers of an image together, beside Options.MaxBytes. They bound the memory: an
// entry takes up to about 300 bytes beside its names.
const (
	maxLayers   = 1024
	maxEntries  = 1 << 20
	maxMetadata = 256 << 20
)

// layer is a layer of an image.
type layer struct {
	name   string  // its digest, or its path in an archive
	digest v1.Hash // of its bytes; the zero value if it is not known
	size   int64   // in bytes
	diffID v1.Hash // of its content
	open   func(ctx context.Context) (io.ReadCloser, error)
}

// dockerZstd is the type that BuildKit gives to layers in docker's format that zstd compresses.
const dockerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// checkLayer returns an error for a layer that is no archive of files, or that is elsewhere.
func checkLayer(d v1.Descriptor) error {
	switch {
	case strings.HasSuffix(string(d.MediaType), "+encrypted"):
		return errors.New("is encrypted, which is not supported")
	case !d.MediaType.IsDistributable() || len(d.URLs) > 0:
		return errors.New("is a foreign layer, which is kept elsewhere: that is not supported")
	case !d.MediaType.IsLayer() && d.MediaType != dockerZstd:
		return fmt.Errorf("is no layer of files: its type is %.80q", d.MediaType)
	case d.Size < 0:
		return fmt.Errorf("has a size of %d bytes", d.Size)
	}
	return checkDigest(d.Digest)
}

// check checks what all sources have in common, before a layer is read.
func (i *Image) check(want v1.Platform) error {
	c := i.config
	p := v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
	switch {
	case p.OS != want.OS || p.Architecture != want.Architecture: // whatever the index said
		return wrongPlatform(want, []candidate{{platform: p}})
	case c.RootFS.Type != "" && c.RootFS.Type != "layers":
		return fmt.Errorf("its root file system has the type %.80q, not layers", c.RootFS.Type)
	case len(i.layers) == 0:
		return errors.New("the image has no layers")
	case len(i.layers) > maxLayers:
		return fmt.Errorf("the image has %d layers, more than %d", len(i.layers), maxLayers)
	}
	var total int64
	for n, l := range i.layers {
		if err := checkDigest(l.diffID); err != nil {
			return fmt.Errorf("layer %d: %w", n+1, err)
		}
		if l.size > i.options.MaxStored-total {
			return fmt.Errorf("the layers have more than %d bytes", i.options.MaxStored)
		}
		total += l.size
	}
	return nil
}

// Tree reads and verifies the layers, and returns the files that remain when they are applied
// one upon the other. The working directory of the command is one of them. The caller must
// close the result. progress, which may be nil, gets bytes of the layers as they are stored.
func (i *Image) Tree(ctx context.Context, o zstream.TarOptions, progress func(done, total int64)) (_ *zstream.Files, err error) {
	o.MaxBytes, o.MaxEntries, o.MaxMetadata = i.options.MaxBytes, maxEntries, maxMetadata
	tree, err := zstream.NewLayers(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tree.Close())
		}
	}()
	left := i.options.MaxBytes
	count := &counter{report: progress}
	for _, l := range i.layers {
		count.total += l.size
	}
	for n, l := range i.layers {
		if err := l.apply(ctx, tree, count, &left); err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", n+1, l.name, err)
		}
	}
	if dir := i.workDir(); dir != "" {
		if err := tree.MkdirAll(dir); err != nil {
			return nil, fmt.Errorf("working directory %s: %w", dir, err)
		}
	}
	return tree.Files()
}

// apply applies the layer to the tree. left is what all layers may have in bytes, decompressed.
func (l *layer) apply(ctx context.Context, tree *zstream.Layers, count *counter, left *int64) error {
	blob, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer blob.Close()
	var stored io.Reader = &counting{blob, count}
	var whole *verifier
	if l.digest != (v1.Hash{}) {
		whole = newVerifier(stored, l.digest, l.size)
		stored = whole
	}
	plain, done, err := decompress(bufio.NewReaderSize(stored, readAhead))
	if err != nil {
		return err
	}
	defer done()
	content := newVerifier(&bounded{ctx: ctx, r: plain, left: left}, l.diffID, -1)
	if err := tree.Apply(ctx, content); err != nil {
		return err
	}
	if !content.done || whole != nil && !whole.done {
		return errors.New("has something behind its end")
	}
	return nil
}

// counter counts the bytes of all layers.
type counter struct {
	done, total int64
	report      func(done, total int64) // may be nil
}

// counting is a reader that counts.
type counting struct {
	r     io.Reader
	count *counter
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.count.done += int64(n); n > 0 && c.count.report != nil {
		c.count.report(c.count.done, c.count.total)
	}
	return n, err
}
