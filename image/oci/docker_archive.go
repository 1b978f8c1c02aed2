package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// saved is an image in the manifest.json of docker save (moby, image/tarexport).
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// openDockerArchive opens an image of an archive that docker save wrote. The archive has no
// digests of compressed layers: the digests of their contents are verified.
func (i *Image) openDockerArchive(ctx context.Context, rest string, want v1.Platform) error {
	file, wanted, err := splitPath(rest, false)
	if err != nil {
		return err
	}
	all, err := openArchive(ctx, file, i.options.Spool, i.options.MaxBytes)
	if err != nil {
		return err
	}
	i.close = all.Close
	data, err := readSmall(all, "manifest.json")
	if err != nil {
		return fmt.Errorf("is no archive of docker save: %w", err)
	}
	var images []saved
	if err := json.Unmarshal(data, &images); err != nil {
		return fmt.Errorf("manifest.json: is no list of images: %w", err)
	}
	found, err := i.findSaved(all, images, wanted, want)
	if err != nil {
		return err
	}
	ids := i.config.RootFS.DiffIDs
	if len(found.Layers) != len(ids) {
		return fmt.Errorf("the manifest has %d layers, and the configuration %d", len(found.Layers), len(ids))
	}
	for n, file := range found.Layers {
		_, size, err := all.open(file)
		if err != nil {
			return fmt.Errorf("layer %d: %w", n+1, err)
		}
		i.layers = append(i.layers, layer{
			name: file, size: size, diffID: ids[n],
			open: func(context.Context) (io.ReadCloser, error) {
				r, _, err := all.open(file)
				return r, err
			},
		})
	}
	return nil
}

// findSaved returns the image of that name, or the only one for the platform, and sets its
// configuration.
func (i *Image) findSaved(all files, images []saved, wanted string, want v1.Platform) (found saved, err error) {
	var names []string
	var have []candidate
	matches := 0
	for n, s := range images {
		if n >= maxManifests {
			return saved{}, fmt.Errorf("there are more than %d images", maxManifests)
		}
		names = append(names, s.RepoTags...)
		if wanted != "" && !slices.ContainsFunc(s.RepoTags, func(of string) bool { return sameName(of, wanted) }) {
			continue
		}
		config, id, err := readSavedConfig(all, s.Config)
		if err != nil {
			return saved{}, err
		}
		p := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
		have = append(have, candidate{platform: p})
		if satisfies(p, want) {
			matches++
			found, i.config, i.Digest = s, config, "sha256:"+id
		}
	}
	switch {
	case wanted != "" && len(have) == 0:
		return saved{}, fmt.Errorf("no such image: %q: the images are %s", wanted, strings.Join(names, ", "))
	case matches == 0:
		return saved{}, wrongPlatform(want, have)
	case matches > 1:
		return saved{}, fmt.Errorf("%w: name one after a colon: %s", errMany, strings.Join(names, ", "))
	}
	return found, nil
}

// sameName reports whether two names mean the same image: docker.io/library/web:latest is web.
func sameName(a, b string) bool {
	x, errX := name.NewTag(a)
	y, errY := name.NewTag(b)
	return a == b || errX == nil && errY == nil && x.Name() == y.Name()
}

// readSavedConfig reads a configuration. Its path has its digest, ID.json or blobs/sha256/ID,
// which is verified.
func readSavedConfig(all files, name string) (*v1.ConfigFile, string, error) {
	data, err := readSmall(all, name)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(data)
	id := hex.EncodeToString(sum[:])
	said := strings.TrimPrefix(strings.TrimSuffix(path.Base(name), ".json"), "sha256:")
	if len(said) == len(id) && said != id {
		return nil, "", fmt.Errorf("%s: is not what its name says: got sha256:%s", name, id)
	}
	config, err := parseConfig(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	return config, id, nil
}
