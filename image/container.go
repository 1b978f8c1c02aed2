package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Docker begins the URL of a container image in a registry (containers-transports(5)).
const Docker = "docker://"

// Container is a reference to a container image in a registry.
type Container struct {
	Repo   string // HOST[:PORT]/PATH: "docker.io/library/alpine"
	Tag    string // ignored if there is a digest
	Digest string // of a manifest or an index: "sha256:..."; "" for any
	Pot    string // begins the name of the dataset
}

// latest is the tag of an image that is named without tag and digest.
const latest = "latest"

// sha256Digests are digests of manifests. Registries may have others, which are not verified.
var sha256Digests = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// IsContainer reports whether a source is a container image in a registry.
func IsContainer(source string) bool { return strings.HasPrefix(source, Docker) }

// ParseContainer parses docker://HOST[:PORT]/REPO[:TAG][@DIGEST], without credentials. The
// name of its pot is potNameOf.
func ParseContainer(source string) (c Container, err error) {
	const form = "must be docker://HOST/REPO[:TAG][@DIGEST]"
	rest, is := strings.CutPrefix(source, Docker)
	odd := strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`?#%\`, r) })
	if !is || odd || len(source) > maxSource {
		return c, errors.New(form)
	}
	rest, digest, pinned := strings.Cut(rest, "@")
	if pinned {
		if err := ValidateManifestDigest(digest); err != nil {
			return c, fmt.Errorf("digest: %w", err)
		}
	}
	dir, last, _ := cutLast("/"+rest, "/") // the host may have a port
	last, tag, tagged := strings.Cut(last, ":")
	rest = strings.TrimPrefix(dir+"/"+last, "/")
	host, path, hasPath := strings.Cut(rest, "/")
	switch {
	case rest == "" || hasPath && path == "":
		return c, fmt.Errorf("%s, not %q", form, source)
	case !hasPath && (strings.ContainsAny(host, ".[") || host == "localhost"):
		return c, fmt.Errorf("%s: %q names no repository", form, source)
	case !hasPath:
		return c, fmt.Errorf("must name the registry: write %q", Docker+"docker.io/library/"+strings.TrimPrefix(source, Docker))
	case !strings.ContainsAny(host, ".:[") && host != "localhost":
		return c, fmt.Errorf("must name the registry: write %q", Docker+"docker.io/"+strings.TrimPrefix(source, Docker))
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return c, fmt.Errorf("%s, not %q", form, source)
		}
	}
	repo, err := name.NewRepository(strings.ToLower(host) + "/" + path)
	if err != nil {
		return c, fmt.Errorf("%s, with a repository in lower case, not %q", form, source)
	}
	if tagged {
		if err := ValidateContainerTag(tag); err != nil {
			return c, fmt.Errorf("tag: %w", err)
		}
	}
	return Container{
		Repo: dockerHub(repo.RegistryStr()) + "/" + repo.RepositoryStr(), Tag: tag, Digest: digest, Pot: potNameOf(repo.RepositoryStr()),
	}, nil
}

// dockerHub returns the name of a registry, with the usual name for Docker Hub's.
func dockerHub(host string) string {
	if host == name.DefaultRegistry {
		return "docker.io"
	}
	return host
}

// containerTags are tags (OCI distribution-spec, "Pulling manifests").
var containerTags = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// ValidateContainerTag returns an error unless a container image can have that tag.
func ValidateContainerTag(tag string) error {
	if !containerTags.MatchString(tag) {
		return fmt.Errorf("must be letters, digits, '.', '_' and '-', at most 128, not %.140q", tag)
	}
	return nil
}

// ValidateManifestDigest returns an error unless the text is a digest that is verified.
func ValidateManifestDigest(digest string) error {
	if !sha256Digests.MatchString(digest) {
		return fmt.Errorf("must be sha256: and 64 hexadecimal digits in lower case, not %.80q", digest)
	}
	return nil
}

// notInNames are runs of characters that the name of a pot cannot have.
var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

// maxPotName bounds potNameOf, in bytes.
const maxPotName = 64

// potNameOf returns the name of the pot for a repository: its last element, with a '-' for
// what a name cannot have, and without one at its ends.
func potNameOf(repo string) string {
	_, last, _ := cutLast("/"+repo, "/")
	last = strings.Trim(notInNames.ReplaceAllString(last, "-"), "-")
	last = strings.TrimRight(last[:min(len(last), maxPotName)], "-")
	if last == "" {
		return "container"
	}
	return last
}

// WantedTag returns the tag that the registry is asked for, "" if there is a digest.
func (c Container) WantedTag() string {
	switch {
	case c.Digest != "":
		return ""
	case c.Tag == "":
		return latest
	}
	return c.Tag
}

// Moves reports whether the registry is asked for the tag at each use.
func (c Container) Moves() bool { return c.WantedTag() == latest }

// Source returns the URL of the repository.
func (c Container) Source() string { return Docker + c.Repo }

// String returns the URL, with what the registry is asked for.
func (c Container) String() string { return Docker + c.Reference() }

// Reference returns what the registry is asked for, as docker writes it.
func (c Container) Reference() string {
	if c.Digest != "" {
		return c.Repo + "@" + c.Digest
	}
	return c.Repo + ":" + c.WantedTag()
}

// containerDigits is how many hexadecimal digits of a digest are in the name of a dataset.
const containerDigits = 16

// Dataset returns the name of the dataset for the image that has the digest. Without a digest it
// is the beginning of such names.
func (c Container) Dataset() string { return Ref{Name: c.Pot, Tag: c.DatasetTag()}.Dataset() }

// DatasetTag returns the end of Dataset.
func (c Container) DatasetTag() string {
	_, hex, _ := strings.Cut(c.Digest, ":")
	return strings.TrimSuffix("sha256-"+hex[:min(len(hex), containerDigits)], "-")
}
