package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
)

// httpTarget is a directory of a server that accepts PUT and, to replace an image, DELETE
// (RFC 9110, 9.3.4 and 9.3.5), such as a WebDAV server or an object store. It implements
// target.
type httpTarget struct {
	base   *url.URL
	client *http.Client
}

// newHTTPTarget returns the target for a URL without credentials. It warns if credentials
// would cross a network in the clear.
func newHTTPTarget(base *url.URL, o PushOptions) (*httpTarget, error) {
	if err := o.Credentials.Validate(); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if !o.Credentials.IsZero() && base.Scheme == "http" && !isLoopback(base.Hostname()) && o.Warn != nil {
		o.Warn("credentials are sent to " + base.Host + " over http, which anyone on the way can read: https hides them")
	}
	return &httpTarget{base: base, client: fetch.ClientFor(fetch.NewClient(nil), o.Credentials, base)}, nil
}

// isLoopback reports whether a host, a name or an address, is this one.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (s *httpTarget) shown(name string) string { return s.base.JoinPath(name).String() }

func (s *httpTarget) download(op, name string, limit int64, count image.ProgressFunc) *fetch.Download {
	return &fetch.Download{
		Op: op, What: s.shown(name), URL: s.base.JoinPath(name), Limit: limit,
		Stall: fetch.DefaultStallTimeout, Count: count, Client: s.client,
	}
}

func (s *httpTarget) read(ctx context.Context, name string, w io.Writer, limit int64, count image.ProgressFunc) error {
	return s.download("read back", name, limit, count).To(ctx, w)
}

// put sends a file; it fails if the server reads no bytes for fetch.DefaultStallTimeout. If
// isNew, it sends If-None-Match: * (RFC 9110, 13.1.2); a server that ignores that replaces an
// existing file. The server must make a file visible only when it has all of it.
func (s *httpTarget) put(ctx context.Context, name string, r *io.SectionReader, isNew bool, count image.ProgressFunc) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(fetch.DefaultStallTimeout, func() { cancel(fmt.Errorf("no bytes taken for %s", fetch.DefaultStallTimeout)) })
	defer stalled.Stop()

	d := s.download("publish", name, 0, nil)
	sent := func(done, total int64) {
		stalled.Reset(fetch.DefaultStallTimeout)
		if count != nil {
			count(done, total)
		}
	}
	body := func() (io.ReadCloser, error) { // called again after a redirect
		return io.NopCloser(&image.ProgressReader{R: io.NewSectionReader(r, 0, r.Size()), Total: r.Size(), Count: sent}), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.URL.String(), nil)
	if err != nil {
		return d.Final(err)
	}
	req.Body, _ = body()
	req.GetBody, req.ContentLength = body, r.Size()
	req.Header.Set("Content-Type", "application/octet-stream")
	if isNew {
		req.Header.Set("If-None-Match", "*")
	}
	err = s.ask(ctx, d, req)
	var status fetch.StatusError
	if isNew && errors.As(err, &status) && status == http.StatusPreconditionFailed {
		return d.Final(errTaken)
	}
	return err
}

// remove asks with HEAD first: a server may refuse to DELETE a file that does not exist with
// another status than 404.
func (s *httpTarget) remove(ctx context.Context, name string) error {
	d := s.download("publish", name, 0, nil)
	head, err := http.NewRequestWithContext(ctx, http.MethodHead, d.URL.String(), nil)
	if err != nil {
		return d.Final(err)
	}
	if err := s.ask(ctx, d, head); err != nil {
		var status fetch.StatusError
		if errors.As(err, &status) && status == http.StatusNotFound {
			return nil
		}
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, d.URL.String(), nil)
	if err != nil {
		return d.Final(err)
	}
	return s.ask(ctx, d, req)
}

// ask makes a request and returns nil if its status is 2xx.
func (s *httpTarget) ask(ctx context.Context, d *fetch.Download, req *http.Request) error {
	resp, err := s.client.Do(req)
	if err != nil {
		return d.Fault(ctx, err)
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return d.Status(resp.StatusCode)
}

// lock does nothing: HTTP has no lock that all servers know, and reading back detects
// concurrent pushes.
func (s *httpTarget) lock(context.Context) (unlock func(), err error) { return func() {}, nil }
