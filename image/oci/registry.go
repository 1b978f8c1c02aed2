package oci

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Errors of a registry that a person can do something about.
var (
	ErrDenied    = errors.New("the registry denies access")
	ErrPlainHTTP = errors.New("the registry speaks plain HTTP")
)

// openRegistry opens an image of a registry (OCI distribution-spec).
func (i *Image) openRegistry(ctx context.Context, rest string, want v1.Platform) error {
	var names []name.Option
	if i.options.Insecure {
		names = append(names, name.Insecure)
	}
	ref, err := name.ParseReference(rest, names...)
	if err != nil {
		return fmt.Errorf("must be REGISTRY/REPO:TAG or REGISTRY/REPO@DIGEST: %s", strings.TrimPrefix(err.Error(), "could not parse reference: "))
	}
	as, err := i.login(ctx, ref.Context())
	if err != nil {
		return err
	}
	connections := remote.DefaultTransport.(*http.Transport).Clone()
	connections.TLSClientConfig = &tls.Config{InsecureSkipVerify: i.options.Insecure, RootCAs: i.options.Roots, MinVersion: tls.VersionTLS12}
	i.close = func() error {
		connections.CloseIdleConnections()
		return nil
	}
	puller, err := remote.NewPuller(remote.WithAuth(as), remote.WithTransport(guard{watched{connections, i.options.Stall}, i.options.Insecure}))
	if err != nil {
		return err
	}
	found, err := puller.Get(ctx, ref)
	if err != nil {
		return explain(err)
	}
	b := registryBlobs{puller, ref.Context()}
	d := found.Descriptor
	d.Size = int64(len(found.Manifest))
	if d.Digest, err = sumOf(found.Manifest); err != nil {
		return err
	}
	if of, is := ref.(name.Digest); is && of.DigestStr() != d.Digest.String() {
		return fmt.Errorf("is not what was asked for: got %s", d.Digest)
	}
	if !d.MediaType.IsImage() && !d.MediaType.IsIndex() && !d.MediaType.IsSchema1() {
		return fmt.Errorf("is an artifact, not an image: its type is %.80q", d.MediaType)
	}
	d.Platform = nil
	if d, err = choose(ctx, b, []v1.Descriptor{d}, want); err != nil {
		return err
	}
	return i.readManifest(ctx, b, d)
}

// login returns what authenticates this client to a registry.
func (i *Image) login(ctx context.Context, repo name.Repository) (authn.Authenticator, error) {
	var as authn.Authenticator
	if l := i.options.Login; l != nil {
		as = authn.FromConfig(authn.AuthConfig{Username: l.Username, Password: l.Password, RegistryToken: l.Token})
	} else {
		keys, err := openKeychain(i.options.DockerConfig, i.options.NoEnvironment)
		if err != nil {
			return nil, err
		}
		if as, err = keys.ResolveContext(ctx, repo); err != nil {
			return nil, err
		}
	}
	i.WithCredentials = as != authn.Anonymous
	return as, nil
}

// sumOf returns the digest of a manifest.
func sumOf(data []byte) (v1.Hash, error) {
	h, _, err := v1.SHA256(strings.NewReader(string(data)))
	return h, err
}

// registryBlobs are the blobs of a repository.
type registryBlobs struct {
	puller *remote.Puller
	repo   name.Repository
}

func (b registryBlobs) open(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	ref := b.repo.Digest(d.Digest.String())
	if d.MediaType.IsImage() || d.MediaType.IsIndex() {
		found, err := b.puller.Get(ctx, ref)
		if err != nil {
			return nil, explain(err)
		}
		return io.NopCloser(strings.NewReader(string(found.Manifest))), nil
	}
	l, err := b.puller.Layer(ctx, ref)
	if err != nil {
		return nil, explain(err)
	}
	r, err := l.Compressed()
	if err != nil {
		return nil, explain(err)
	}
	return r, nil
}

// guard refuses requests over plain HTTP, also those that a registry redirects to or names as
// its token server: they would show credentials. A registry on this host may use it.
type guard struct {
	next     http.RoundTripper
	insecure bool
}

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.insecure && !isLocal(r.URL.Hostname()) {
		return nil, ErrPlainHTTP
	}
	return g.next.RoundTrip(r)
}

// isLocal reports whether a host is this one.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
