package driver

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/signify"
	"nomad-driver-pot/image/store"
)

// authSpec is the schema of auth { … } in a task's config.
var authSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"username": hclspec.NewAttr("username", "string", false),
	"password": hclspec.NewAttr("password", "string", false),
	"token":    hclspec.NewAttr("token", "string", false),
	"header":   hclspec.NewAttr("header", "string", false),
})

// AuthConfig is the job's credentials for the image's server: image.Credentials.
type AuthConfig struct {
	Username string `codec:"username"`
	Password string `codec:"password"`
	Token    string `codec:"token"`
	Header   string `codec:"header"` // "Name: value"
}

// VerifyConfig is the operator's policy for signatures of images. A job cannot
// relax it.
type VerifyConfig struct {
	RequireSignature bool   `codec:"require_signature"` // a job must name a key, if signify_pubkey does not
	SignifyPubkey    string `codec:"signify_pubkey"`    // path; a job may name no other key
}

// AuthFileConfig names the operator's files of credentials for image servers.
type AuthFileConfig struct {
	File         string `codec:"file"`          // image.ReadCredentials
	DockerConfig string `codec:"docker_config"` // docker's config.json, for registries
}

// sources is the operator's policy for where images may come from.
type sources struct {
	allowed  []image.Prefix     // nil allows all
	required bool               // an image must be signed
	local    bool               // pots that another tool imported or made are images
	key      *signify.PublicKey // that must have signed an image; nil if there is none
	authFile string             // path; "" if there is none

	dockerConfig string // likewise
}

// sources translates the keys of c that are about images.
func (c *Config) sources(f *problems) sources {
	s := sources{required: c.Verify.RequireSignature, local: c.AllowLocalImages}
	for i, text := range c.AllowedImages {
		p, err := image.ParsePrefix(text)
		if err != nil {
			f.add(fmt.Sprintf("allowed_images[%d]", i), "%w", err)
		}
		s.allowed = append(s.allowed, p)
	}
	if c.Verify.SignifyPubkey != "" {
		s.key = readKey(f, "verify.signify_pubkey", c.Verify.SignifyPubkey)
	}
	if c.Auth.File != "" {
		s.authFile = absolute(f, "auth.file", c.Auth.File, "")
		if _, err := image.ReadCredentials(s.authFile); err != nil {
			f.add("auth.file", "%w", err)
		}
	}
	if c.Auth.DockerConfig != "" {
		s.dockerConfig = absolute(f, "auth.docker_config", c.Auth.DockerConfig, "")
		if err := store.CheckDockerConfig(s.dockerConfig); err != nil {
			f.add("auth.docker_config", "%w", err)
		}
	}
	return s
}

// readKey reads a public key of signify(1). It returns nil after a problem.
func readKey(f *problems, where, path string) *signify.PublicKey {
	if !filepath.IsAbs(path) {
		f.add(where, "must be an absolute path, not %q", path)
		return nil
	}
	key, err := signify.ReadPublicKey(path)
	if err != nil {
		f.add(where, "%w", err)
		return nil
	}
	return &key
}

// terms merges the job's wishes for its image with the operator's policy. A job
// can only tighten the policy.
func (c *TaskConfig) terms(f *problems, s *sources, ref image.Ref, inURL image.Credentials) image.PullOptions {
	container := image.IsContainer(ref.Source)
	if len(s.allowed) > 0 && !f.have("config.image") && !slices.ContainsFunc(s.allowed, func(p image.Prefix) bool { return p.Covers(ref.Source) }) {
		f.add("config.image", "is not below any URL in this client's allowed_images")
	}
	t := image.PullOptions{Key: s.key, AuthSoftFail: c.AuthSoftFail, ForcePull: c.ForcePull, Local: s.local}
	t.Credentials = c.login(f, s, ref, inURL)
	if container {
		c.containerPolicy(f, s)
		t.Key, t.DockerConfig = nil, s.dockerConfig
		return t
	}
	t.Digest = c.wantDigest(f, ref)
	if c.SignifyPubkey != "" {
		key := readKey(f, "config.signify_pubkey", c.SignifyPubkey)
		switch {
		case key == nil:
		case s.key != nil && s.key.Fingerprint() != key.Fingerprint():
			f.add("config.signify_pubkey", "is key %s, but this client only accepts images signed with key %s", key.Number, s.key.Number)
		default:
			t.Key = key
		}
	}
	if s.required && t.Key == nil && c.SignifyPubkey == "" {
		f.add("config.signify_pubkey", "must be set: this client only accepts signed images")
	}
	return t
}

// login returns the job's credentials, from auth or from its URL, or else the
// operator's for that URL.
func (c *TaskConfig) login(f *problems, s *sources, ref image.Ref, inURL image.Credentials) image.Credentials {
	inAuth := image.Credentials{Username: c.Auth.Username, Password: c.Auth.Password, Token: c.Auth.Token, Header: c.Auth.Header}
	switch {
	case !inAuth.IsZero() && !inURL.IsZero():
		f.add("config.auth", "mutually exclusive with a user in config.image")
	case !inAuth.IsZero():
		if err := inAuth.Validate(); err != nil {
			f.add("config.auth", "%w", err)
		}
		return inAuth
	case !inURL.IsZero():
		if err := inURL.Validate(); err != nil {
			f.add("config.image", "user: %w", err)
		}
		return inURL
	case s.authFile == "":
		return inAuth
	}
	// Read at each start: credentials are renewed while plugins run.
	logins, err := image.ReadCredentials(s.authFile)
	if err != nil {
		f.add("this client's auth.file", "%w", err)
	}
	found := logins.For(ref.Source)
	if found.Header != "" && image.IsContainer(ref.Source) {
		f.add("this client's auth.file", "header: registries take username and password, or token")
	}
	return found
}
