package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// refName is the annotation that has a tag (OCI image-spec, annotations.md).
const refName = "org.opencontainers.image.ref.name"

// openLayout opens an image of an OCI image layout (image-layout.md), in a directory or an
// archive.
func (i *Image) openLayout(ctx context.Context, kind, rest string, want v1.Platform) error {
	path, tag, err := splitPath(rest, kind == layoutDir)
	if err != nil {
		return err
	}
	var all files
	if kind == layoutDir {
		root, err := os.OpenRoot(path)
		if err != nil {
			return err
		}
		all = dirFiles{root}
	} else if all, err = openArchive(ctx, path, i.options.Spool, i.options.MaxBytes); err != nil {
		return err
	}
	i.close = all.Close
	data, err := readSmall(all, "index.json")
	if errors.Is(err, errAbsent) {
		return errors.New("is no OCI image layout: it has no index.json")
	}
	if err != nil {
		return err
	}
	index, err := parseIndex(data)
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	tagged, err := withTag(index.Manifests, tag)
	if err != nil {
		return err
	}
	b := layoutBlobs{all}
	d, err := choose(ctx, b, tagged, want)
	if errors.Is(err, errMany) {
		return fmt.Errorf("%w: name one after a colon: %s", err, strings.Join(tags(index.Manifests), ", "))
	}
	if err != nil {
		return err
	}
	return i.readManifest(ctx, b, d)
}

// withTag returns the descriptors with a tag, or all for "".
func withTag(all []v1.Descriptor, tag string) ([]v1.Descriptor, error) {
	if tag == "" {
		return all, nil
	}
	var found []v1.Descriptor
	for _, d := range all {
		if d.Annotations[refName] == tag {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no such tag: %q: the tags are %s", tag, strings.Join(tags(all), ", "))
	}
	return found, nil
}

// tags returns the tags of descriptors, sorted, or a dash if there are none.
func tags(all []v1.Descriptor) (names []string) {
	for _, d := range all {
		if name := d.Annotations[refName]; name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return []string{"-"}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// layoutBlobs are the blobs of a layout.
type layoutBlobs struct{ files files }

func (b layoutBlobs) open(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if err := checkDigest(d.Digest); err != nil {
		return nil, err
	}
	r, _, err := b.files.open(filepath.Join("blobs", d.Digest.Algorithm, d.Digest.Hex))
	return r, err
}

// readSmall reads a file that no digest is known of.
func readSmall(all files, name string) ([]byte, error) {
	r, size, err := all.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > maxManifest {
		return nil, fmt.Errorf("%s: has %d bytes, more than %d", name, size, maxManifest)
	}
	return io.ReadAll(io.LimitReader(r, maxManifest))
}

// readManifest sets the image to the image of a manifest.
func (i *Image) readManifest(ctx context.Context, b blobs, d v1.Descriptor) error {
	data, err := readBlob(ctx, b, d)
	if err != nil {
		return err
	}
	m, err := parseManifest(d.Digest, data)
	if err != nil {
		return err
	}
	if !isImageConfig(m.Config.MediaType) {
		return fmt.Errorf("%s: is an artifact, not an image: its configuration is %q", d.Digest, m.Config.MediaType)
	}
	config, err := readBlob(ctx, b, m.Config)
	if err != nil {
		return err
	}
	if i.config, err = parseConfig(config); err != nil {
		return fmt.Errorf("%s: %w", m.Config.Digest, err)
	}
	i.Digest = d.Digest.String()
	if len(m.Layers) != len(i.config.RootFS.DiffIDs) {
		return fmt.Errorf("the manifest has %d layers, and the configuration %d", len(m.Layers), len(i.config.RootFS.DiffIDs))
	}
	for n, l := range m.Layers {
		if err := checkLayer(l); err != nil {
			return fmt.Errorf("layer %d (%s): %w", n+1, l.Digest, err)
		}
		i.layers = append(i.layers, layer{
			name: l.Digest.String(), digest: l.Digest, size: l.Size, diffID: i.config.RootFS.DiffIDs[n],
			open: func(ctx context.Context) (io.ReadCloser, error) { return b.open(ctx, l) },
		})
	}
	return nil
}

func parseConfig(data []byte) (*v1.ConfigFile, error) {
	config := new(v1.ConfigFile)
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(config); err != nil {
		return nil, fmt.Errorf("is no configuration of an image: %w", err)
	}
	return config, nil
}
