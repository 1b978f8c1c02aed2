package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// failure is an error of a registry that may be gone another time.
type failure struct{ error }

// Unwrap returns the cause.
func (f failure) Unwrap() error { return f.error }

// Retryable reports whether an image that could not be read may be readable later: after an
// error of the network, or of a broken or busy registry.
func Retryable(err error) bool {
	var f failure
	return errors.As(err, &f)
}

// explain returns the error of a registry in words for a person.
func explain(err error) error {
	var answer *transport.Error
	var request *url.Error
	switch {
	case errors.Is(err, ErrPlainHTTP):
		return ErrPlainHTTP
	case errors.As(err, &answer):
		switch status := answer.StatusCode; {
		case status == http.StatusNotFound:
			return errors.New("the registry has no such image")
		case status == http.StatusUnauthorized, status == http.StatusForbidden:
			return fmt.Errorf("%w (HTTP status %d)", ErrDenied, status)
		case status == http.StatusTooManyRequests:
			return failure{errors.New("the registry limits how often images are pulled (HTTP status 429)")}
		case status < 500 && status != http.StatusRequestTimeout:
			return fmt.Errorf("the registry fails: HTTP status %d", status)
		}
		return failure{fmt.Errorf("the registry fails: HTTP status %d", answer.StatusCode)}
	case errors.As(err, &request):
		return failure{fmt.Errorf("the registry cannot be reached: %w", request.Err)}
	}
	return err
}

// watched is a transport that gives up when nothing arrives for stall, unless that is 0. Errors of
// a body are failures.
type watched struct {
	next  http.RoundTripper
	stall time.Duration
}

// RoundTrip implements http.RoundTripper.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	b := &watchedBody{ctx: ctx, cancel: cancel, stall: w.stall}
	if w.stall > 0 {
		b.timer = time.AfterFunc(w.stall, func() { cancel(fmt.Errorf("no bytes for %s", w.stall)) })
	}
	resp, err := w.next.RoundTrip(r.WithContext(ctx))
	b.stop()
	if err != nil {
		defer cancel(nil)
		return nil, b.cause(err)
	}
	b.ReadCloser = resp.Body
	resp.Body = b
	return resp, nil
}

// watchedBody is the body of a response.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer // runs while a byte is waited for; nil without stall
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	if b.timer != nil {
		b.timer.Reset(b.stall)
	}
	n, err := b.ReadCloser.Read(p)
	b.stop()
	if err != nil && !errors.Is(err, io.EOF) {
		// The cause is text only: for a decompressor io.ErrUnexpectedEOF is damage.
		err = failure{fmt.Errorf("the connection to the registry failed: %v", b.cause(err))}
	}
	return n, err
}

func (b *watchedBody) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// cause returns why a request ended, if that was this transport's decision, or else err.
func (b *watchedBody) cause(err error) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	return err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
