package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"nomad-driver-pot/image"
)

// NewClient returns an HTTP client that does not decompress files, whose bytes are hashed
// as the server has them. It has no timeout of its own: a large image may take long, as
// long as bytes arrive (Download.Stall). The environment names the proxy
// (http.ProxyFromEnvironment). The client verifies server certificates against roots or,
// if that is nil, the system's, and follows at most 9 redirects, none to plain http from
// https.
func NewClient(roots *x509.CertPool) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}
}

// maxCABytes bounds a file of certificates: it has room for some hundreds.
const maxCABytes = 1 << 20

// ReadRoots returns the system's certificate authorities and those in file, in PEM. It
// returns an error if the file has no certificate.
func ReadRoots(file string) (*x509.CertPool, error) {
	text, err := image.ReadBounded(file, maxCABytes)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in PEM", file)
	}
	return roots, nil
}

// errRedirect means that a redirect was not followed.
var errRedirect = errors.New("redirect refused")

// checkRedirect follows redirects to http and https only, and never from https to http:
// anyone on the network path could answer instead.
func checkRedirect(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1].URL.Scheme
	switch to := req.URL.Scheme; {
	case to != "http" && to != "https", last == "https" && to == "http":
		return fmt.Errorf("%w: from %s to %s", errRedirect, last, to)
	case len(via) >= 10:
		return fmt.Errorf("%w: the tenth", errRedirect)
	}
	return nil
}

// ClientFor returns client with l's credentials in requests to u's origin (scheme, host
// and port), and to no other, wherever redirects lead. Package net/http would copy a
// caller's own header to any host, and Authorization to subdomains.
func ClientFor(client *http.Client, l image.Credentials, u *url.URL) *http.Client {
	if l.IsZero() {
		return client
	}
	c := *client
	c.Transport = withCredentials{client.Transport, l, image.Origin(u)}
	return &c
}

// withCredentials adds credentials to requests for one origin.
type withCredentials struct {
	to     http.RoundTripper
	login  image.Credentials
	origin string
}

// RoundTrip implements http.RoundTripper, which must not change req.
func (s withCredentials) RoundTrip(req *http.Request) (*http.Response, error) {
	if image.Origin(req.URL) == s.origin {
		req = req.Clone(req.Context())
		s.login.Apply(req.Header)
	}
	return s.to.RoundTrip(req)
}

// refused reports whether a server requires credentials, or rejects the ones that it was
// sent: 401 or 403.
func refused(err error) bool {
	var s StatusError
	return errors.As(err, &s) && (int(s) == http.StatusUnauthorized || int(s) == http.StatusForbidden)
}
