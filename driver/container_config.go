package driver

import (
	"cmp"
	"errors"
	"strings"

	"nomad-driver-pot/image"
)

// container returns the container image that c names with a docker URL.
func (c *TaskConfig) container(f *problems, source string) image.Container {
	container, err := image.ParseContainer(source)
	if err != nil {
		f.add("config.image", "%w", err)
	}
	inURL := container
	if tag := c.tag(f); tag != "" {
		switch err := image.ValidateContainerTag(tag); {
		case err != nil:
			f.add("config.tag", "%w", err)
		case inURL.Tag != "" && inURL.Tag != tag:
			f.add("config.tag", "is %q, but config.image has the tag %q: remove one of them", tag, inURL.Tag)
		}
		container.Tag = tag
	}
	if c.Digest != "" {
		switch err := manifestDigest(c.Digest); {
		case err != nil:
			f.add("config.digest", "%w", err)
		case inURL.Digest != "" && inURL.Digest != c.Digest:
			f.add("config.digest", "is not the digest in config.image: remove one of them")
		}
		container.Digest = c.Digest
	}
	if c.Pot != "" {
		container.Pot = c.Pot
	}
	ref := image.Ref{Source: "file:///", Name: cmp.Or(container.Pot, "pot"), Tag: container.DatasetTag()}
	ref.Check(func(_ string, err error) { f.add("config.pot", "%w", err) })
	if c.SignifyPubkey != "" {
		f.add("config.signify_pubkey", "must not be set: signatures of container images cannot be checked yet; set digest")
	}
	if c.Auth.Header != "" {
		f.add("config.auth", "header: registries take username and password, or token")
	}
	return container
}

// manifestDigest returns an error for the digest of a container image.
func manifestDigest(digest string) error {
	if strings.HasPrefix(digest, "skein1024:") {
		return errors.New("must be the sha256 of a manifest, as docker and skopeo show it: only images in files have a skein1024")
	}
	return image.ValidateManifestDigest(digest)
}

// containerPolicy adds the problems that a container image has with the operator's policy for
// images.
func (c *TaskConfig) containerPolicy(f *problems, s *sources) {
	if s.required || s.key != nil {
		f.add("config.image", "must not be a container image: this client only accepts signed images, and signatures of container images cannot be checked yet")
	}
}
