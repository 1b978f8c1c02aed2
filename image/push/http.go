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

// PushAuth are the credentials for a server, of one of three kinds. They are sent to that
// server only, not to one that it redirects to, and are in no error.
type PushAuth struct {
	Username, Password string
	Token              string // a bearer token
	Header             string // a whole header: "NAME: VALUE"
}

// set adds the credentials to the header of a request.
func (a PushAuth) set(h http.Header) error {
	switch {
	case a.Header != "":
		name, value, ok := cutPushHeader(a.Header)
		if !ok {
			return errors.New("header: must be NAME: VALUE")
		}
		h.Set(name, value)
	case a.Token != "":
		h.Set("Authorization", "Bearer "+a.Token)
	case a.Username != "" || a.Password != "":
		r := http.Request{Header: h}
		r.SetBasicAuth(a.Username, a.Password)
	}
	return nil
}

// cutPushHeader splits a header into its name and value.
func cutPushHeader(s string) (name, value string, ok bool) {
	for i, r := range s {
		switch {
		case r == ':' && i > 0:
			value = s[i+1:]
			for value != "" && value[0] == ' ' {
				value = value[1:]
			}
			for _, r := range value {
				if r < ' ' || r > '~' {
					return "", "", false
				}
			}
			return s[:i], value, value != ""
		case r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z'):
			return "", "", false
		}
	}
	return "", "", false
}

// httpTarget is a directory on a server that accepts PUT and, to replace files, DELETE (RFC
// 9110, 9.3.4 and 9.3.5), as WebDAV servers and object stores do.
type httpTarget struct {
	base   *url.URL
	client *http.Client
}

func newHTTPTarget(base *url.URL, o PushOptions) (*httpTarget, error) {
	header := http.Header{}
	if err := o.Auth.set(header); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if len(header) > 0 && base.Scheme == "http" && !pushLoopback(base.Hostname()) && o.Warn != nil {
		o.Warn("credentials are sent to " + base.Host + " over http, where anyone on the network path can read them; use https")
	}
	client := fetch.NewClient(nil)
	client.Transport = &pushTransport{next: client.Transport, scheme: base.Scheme, host: base.Host, header: header}
	return &httpTarget{base: base, client: client}, nil
}

// pushLoopback reports whether a host is this machine.
func pushLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// pushTransport sends credentials to one server, and no other.
type pushTransport struct {
	next         http.RoundTripper
	scheme, host string
	header       http.Header
}

func (i *pushTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == i.scheme && r.URL.Host == i.host && len(i.header) > 0 {
		r = r.Clone(r.Context())
		for name, values := range i.header {
			r.Header[name] = values
		}
	}
	return i.next.RoundTrip(r)
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

// put sends a file; it fails if the server reads no bytes for fetch.DefaultStallTimeout. A
// server that ignores If-None-Match (RFC 9110, 13.1.2) replaces an existing file.
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

func (s *httpTarget) remove(ctx context.Context, name string) error {
	d := s.download("publish", name, 0, nil)
	head, err := http.NewRequestWithContext(ctx, http.MethodHead, d.URL.String(), nil)
	if err != nil {
		return d.Final(err)
	}
	if err := s.ask(ctx, d, head); err != nil { // a server may refuse to remove a file that does not exist
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

// lock does nothing: reading back detects concurrent pushes.
func (s *httpTarget) lock(context.Context) (unlock func(), err error) { return func() {}, nil }
