package oci

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"nomad-driver-pot/image/zstream"
)

// Options say which image of a source is read, and how.
type Options struct {
	Platform string // OS/ARCH or OS/ARCH/VARIANT; "" is freebsd and the architecture of this program

	Login *Login // for the registry; nil: what DockerConfig has for it

	// DockerConfig is the path of a config.json with credentials for registries; "" is the one
	// in $DOCKER_CONFIG, if that is set and NoEnvironment is not.
	DockerConfig  string
	NoEnvironment bool
	Insecure      bool           // plain HTTP, and certificates of unknown authorities, are accepted
	Roots         *x509.CertPool // that vouch for registries; nil: the system's
	Stall         time.Duration  // how long a registry may send nothing; 0 means for ever

	Spool     string // directory for temporary files; "" is os.TempDir
	MaxBytes  int64  // of all layers, decompressed; 0 means zstream.DefaultMaxBytes
	MaxStored int64  // of all layers, as they are stored; 0 means MaxBytes
}

// Login is a client's credentials for a registry.
type Login struct {
	Username, Password string
	Token              string // a bearer token, in their place
}

// Kinds of sources, as they begin (containers-transports(5)).
const (
	layoutDir     = "oci:"
	layoutArchive = "oci-archive:"
	dockerArchive = "docker-archive:"
	registry      = "docker://"
)

// IsSource reports whether from names a container image, and no file or directory.
func IsSource(from string) bool {
	kind, _ := kindOf(from)
	return kind != ""
}

// kindOf splits from into its kind and the rest. The kind is "" if it is not a source.
func kindOf(from string) (kind, rest string) {
	for _, kind := range []string{layoutDir, layoutArchive, dockerArchive, registry} {
		if rest, is := strings.CutPrefix(from, kind); is {
			return kind, rest
		}
	}
	return "", from
}

// Open finds the image for a platform in a source, and verifies all of it except its layers:
//
//	oci:DIR[:TAG]  oci-archive:FILE[:TAG]  docker-archive:FILE[:REPO:TAG]
//	docker://REGISTRY/REPO:TAG  docker://REGISTRY/REPO@DIGEST
//
// The caller must close the image.
func Open(ctx context.Context, from string, o Options) (*Image, error) {
	i, err := openSource(ctx, from, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return i, nil
}

// OpenRegistry is Open for an image of a registry, REGISTRY/REPO:TAG or REGISTRY/REPO@DIGEST,
// which errors do not repeat. Retryable says which of them may be gone another time.
func OpenRegistry(ctx context.Context, ref string, o Options) (*Image, error) {
	return openSource(ctx, registry+ref, o)
}

func openSource(ctx context.Context, from string, o Options) (*Image, error) {
	platform, err := parsePlatform(o.Platform)
	if err != nil {
		return nil, fmt.Errorf("platform: %w", err)
	}
	o.MaxBytes = cmp.Or(o.MaxBytes, zstream.DefaultMaxBytes)
	o.MaxStored = cmp.Or(o.MaxStored, o.MaxBytes)
	i := &Image{options: o}
	kind, rest := kindOf(from)
	switch kind {
	case registry:
		err = i.openRegistry(ctx, rest, platform)
	case layoutDir, layoutArchive:
		err = i.openLayout(ctx, kind, rest, platform)
	case dockerArchive:
		err = i.openDockerArchive(ctx, rest, platform)
	default:
		err = errors.New("must begin with oci:, oci-archive:, docker-archive: or docker://")
	}
	if err == nil {
		err = i.check(platform)
	}
	if err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// splitPath splits PATH:NAME. The path is the shortest that exists and is a directory, or is
// none: it may have colons, too.
func splitPath(s string, dir bool) (path, name string, err error) {
	for at := 0; at <= len(s); at++ {
		if at < len(s) && s[at] != ':' {
			continue
		}
		info, err := os.Stat(s[:at])
		if err == nil && info.IsDir() == dir {
			return s[:at], strings.TrimPrefix(s[at:], ":"), nil
		}
	}
	path, _, _ = strings.Cut(s, ":")
	switch info, err := os.Stat(path); {
	case path == "":
		return "", "", errors.New("a path must be set")
	case errors.Is(err, fs.ErrNotExist):
		return "", "", errors.New("no such file or directory")
	case err != nil:
		return "", "", err
	case info.IsDir():
		return "", "", errors.New("is a directory, not an archive")
	}
	return "", "", errors.New("is not a directory")
}

// Image is a container image for one platform. It is not safe for concurrent use.
type Image struct {
	// Digest is the digest of the image's manifest, or of its configuration if the source has
	// no manifest: "sha256:...".
	Digest string

	// WithCredentials says that the registry was sent credentials.
	WithCredentials bool

	config  *v1.ConfigFile
	layers  []layer
	options Options
	close   func() error // nil: nothing is open
}

// Close closes the source.
func (i *Image) Close() error {
	if i.close == nil {
		return nil
	}
	return i.close()
}
