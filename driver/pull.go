package driver

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/signify"
)

// authSpec is of a task's auth { … }.
var authSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"username": hclspec.NewAttr("username", "string", false),
	"password": hclspec.NewAttr("password", "string", false),
	"token":    hclspec.NewAttr("token", "string", false),
	"header":   hclspec.NewAttr("header", "string", false),
})

// AuthConfig is how the image's server is told who asks: image.Login.
type AuthConfig struct {
	Username string `codec:"username"`
	Password string `codec:"password"`
	Token    string `codec:"token"`
	Header   string `codec:"header"` // "Name: value"
}

// VerifyConfig is what images must be signed with, whatever a job says.
type VerifyConfig struct {
	RequireSignature bool   `codec:"require_signature"` // a job must name a key, if signify_pubkey does not
	SignifyPubkey    string `codec:"signify_pubkey"`    // path; no job may name another
}

// AuthFileConfig is where credentials for images' servers are.
type AuthFileConfig struct {
	File string `codec:"file"` // image.ReadLogins
}

// sources are where images may come from, and on what terms, as the operator has it.
type sources struct {
	allowed  []image.Prefix // none: all
	required bool           // an image must be signed
	local    bool           // pots that another tool imported or made are images
	key      *signify.PublicKey
	authFile string
}

// sources are c's, without fault.
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
		if _, err := image.ReadLogins(s.authFile); err != nil {
			f.add("auth.file", "%w", err)
		}
	}
	return s
}

// readKey reads a public key of signify(1).
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

// terms are those on which the task's image is had: what the job asks for, and what
// the operator does. A job may make them stricter, and no laxer.
func (c *TaskConfig) terms(f *problems, s *sources, ref image.Ref, inURL image.Login) image.Terms {
	if len(s.allowed) > 0 && !slices.ContainsFunc(s.allowed, func(p image.Prefix) bool { return p.Covers(ref.Source) }) {
		f.add("config.image", "is below none of the URLs in this client's allowed_images")
	}
	t := image.Terms{Digest: c.wantDigest(f), Key: s.key, Optional: c.AuthSoftFail, Again: c.ForcePull, Local: s.local}
	if c.SignifyPubkey != "" {
		key := readKey(f, "config.signify_pubkey", c.SignifyPubkey)
		switch {
		case key == nil:
		case s.key != nil && s.key.Fingerprint() != key.Fingerprint():
			f.add("config.signify_pubkey", "is key %s, and this client takes images signed by %s alone", key.Number, s.key.Number)
		default:
			t.Key = key
		}
	}
	if s.required && t.Key == nil && c.SignifyPubkey == "" {
		f.add("config.signify_pubkey", "must be set: this client takes signed images alone")
	}
	t.Login = c.login(f, s, ref, inURL)
	return t
}

// login is the job's own, of auth or in the URL, or else the operator's for that URL.
func (c *TaskConfig) login(f *problems, s *sources, ref image.Ref, inURL image.Login) image.Login {
	own := image.Login{Username: c.Auth.Username, Password: c.Auth.Password, Token: c.Auth.Token, Header: c.Auth.Header}
	switch {
	case !own.IsZero() && !inURL.IsZero():
		f.add("config.auth", "cannot be set with a user in image")
	case !own.IsZero():
		if err := own.Validate(); err != nil {
			f.add("config.auth", "%w", err)
		}
		return own
	case !inURL.IsZero():
		if err := inURL.Validate(); err != nil {
			f.add("config.image", "user: %w", err)
		}
		return inURL
	case s.authFile == "":
		return own
	}
	// It is read anew: credentials are renewed while plugins run.
	logins, err := image.ReadLogins(s.authFile)
	if err != nil {
		f.add("auth.file", "of this client: %w", err)
	}
	return logins.For(ref.Source)
}
