package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// blobs opens the blobs of a source. Callers verify what they read.
type blobs interface {
	open(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
}

// Bounds of an image's own files: of a manifest or a configuration, as registries have them, of
// indexes within indexes, and of the manifests that are looked at.
const (
	maxManifest   = 4 << 20
	maxIndexDepth = 3
	maxManifests  = 256
)

// parsePlatform parses OS/ARCH or OS/ARCH/VARIANT, with the names that uname(1) has for
// architectures as well as Go's.
func parsePlatform(s string) (v1.Platform, error) {
	if s == "" {
		return v1.Platform{OS: "freebsd", Architecture: runtime.GOARCH}, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return v1.Platform{}, fmt.Errorf("must be OS/ARCH or OS/ARCH/VARIANT, not %q", s)
	}
	p := v1.Platform{OS: parts[0], Architecture: parts[1]}
	switch p.Architecture {
	case "x86_64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// CheckPlatform returns an error unless s can be Options.Platform.
func CheckPlatform(s string) error {
	_, err := parsePlatform(s)
	return err
}

// readBlob reads a manifest, an index or a configuration, and verifies it.
func readBlob(ctx context.Context, b blobs, d v1.Descriptor) ([]byte, error) {
	if err := checkDigest(d.Digest); err != nil {
		return nil, err
	}
	if d.Size < 0 || d.Size > maxManifest {
		return nil, fmt.Errorf("%s: has %d bytes, more than %d", d.Digest, d.Size, maxManifest)
	}
	r, err := b.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(newVerifier(r, d.Digest, d.Size))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	return data, nil
}

// candidate is an image of a source.
type candidate struct {
	v1.Descriptor
	platform v1.Platform
	top      int // index of the descriptor that leads to it, in the source's own list
}

// chooser finds the image for a platform.
type chooser struct {
	blobs blobs
	found []candidate
	read  int // manifests and indexes
}

// choose returns the image for a platform among those that descriptors lead to. Of one index
// the first that matches counts; several images are an error that errMany wraps.
func choose(ctx context.Context, b blobs, all []v1.Descriptor, want v1.Platform) (v1.Descriptor, error) {
	c := &chooser{blobs: b}
	for top, d := range all {
		if err := c.collect(ctx, d, top, 0); err != nil {
			return v1.Descriptor{}, err
		}
	}
	var match []candidate
	for _, f := range c.found {
		if satisfies(f.platform, want) {
			match = append(match, f)
		}
	}
	switch {
	case len(match) == 0:
		return v1.Descriptor{}, wrongPlatform(want, c.found)
	case match[0].top != match[len(match)-1].top:
		return v1.Descriptor{}, errMany
	}
	return match[0].Descriptor, nil
}

// errMany reports that a source has several images for a platform.
var errMany = errors.New("there are several images")

// PlatformError reports that a source has no image for the platform that is wanted.
type PlatformError struct {
	Want string
	Have []string // of the source, sorted; may be empty
}

// Error implements error.
func (e *PlatformError) Error() string {
	if len(e.Have) == 0 {
		return "there is no image for " + e.Want
	}
	return fmt.Sprintf("there is no image for %s, only for %s", e.Want, strings.Join(e.Have, ", "))
}

func wrongPlatform(want v1.Platform, found []candidate) error {
	e := &PlatformError{Want: want.String()}
	for _, f := range found {
		p := f.platform
		p.OSVersion = ""
		if name := p.String(); name != "" {
			e.Have = append(e.Have, name)
		}
	}
	slices.Sort(e.Have)
	e.Have = slices.Compact(e.Have)
	return e
}

// satisfies reports whether an image for one platform is for another.
func satisfies(have, want v1.Platform) bool {
	return have.OS == want.OS && have.Architecture == want.Architecture && (want.Variant == "" || have.Variant == want.Variant)
}

// collect adds the images that a descriptor leads to. It skips what an index has beside images,
// such as attestations, whose platform is unknown.
func (c *chooser) collect(ctx context.Context, d v1.Descriptor, top, depth int) error {
	switch {
	case d.MediaType.IsImage():
	case d.MediaType.IsIndex():
		return c.collectIndex(ctx, d, top, depth)
	case d.MediaType.IsSchema1():
		return fmt.Errorf("%s: is an image of the old format %s, which is not supported", d.Digest, d.MediaType)
	default:
		return nil
	}
	if p := d.Platform; p != nil && p.OS != "" {
		if p.OS != "unknown" {
			c.found = append(c.found, candidate{d, *p, top})
		}
		return nil
	}
	m, err := c.manifest(ctx, d)
	if err != nil {
		return err
	}
	if !isImageConfig(m.Config.MediaType) {
		return nil
	}
	config, err := c.blob(ctx, m.Config)
	if err != nil {
		return err
	}
	var p v1.Platform
	if err := json.Unmarshal(config, &p); err != nil {
		return fmt.Errorf("%s: is not JSON: %w", m.Config.Digest, err)
	}
	c.found = append(c.found, candidate{d, p, top})
	return nil
}

func (c *chooser) collectIndex(ctx context.Context, d v1.Descriptor, top, depth int) error {
	if depth >= maxIndexDepth {
		return fmt.Errorf("%s: more than %d indexes within each other", d.Digest, maxIndexDepth)
	}
	data, err := c.blob(ctx, d)
	if err != nil {
		return err
	}
	index, err := parseIndex(data)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Digest, err)
	}
	for _, m := range index.Manifests {
		if err := c.collect(ctx, m, top, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// blob reads a small blob, and counts it.
func (c *chooser) blob(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if c.read++; c.read > maxManifests {
		return nil, fmt.Errorf("there are more than %d manifests", maxManifests)
	}
	return readBlob(ctx, c.blobs, d)
}

func (c *chooser) manifest(ctx context.Context, d v1.Descriptor) (*v1.Manifest, error) {
	data, err := c.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	return parseManifest(d.Digest, data)
}

func parseManifest(of v1.Hash, data []byte) (*v1.Manifest, error) {
	m, err := v1.ParseManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: is no manifest: %w", of, err)
	}
	return m, nil
}

// parseIndex parses an index, or the index.json of a layout.
func parseIndex(data []byte) (*v1.IndexManifest, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("is no index of images: %w", err)
	}
	return index, nil
}

// isImageConfig reports whether a configuration is for an image to run.
func isImageConfig(t types.MediaType) bool {
	return t == types.OCIConfigJSON || t == types.DockerConfigJSON
}
