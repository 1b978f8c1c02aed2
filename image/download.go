package image

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"syscall"
	"time"
)

// every is how often a long download is spoken of.
const every = 10 * time.Second

// A download is one file on its way.
type download struct {
	op, what string // of its errors: "fetch" and a URL without secrets
	url      *url.URL
	limit    int64         // bytes it may have
	stall    time.Duration // how long no byte may arrive
	progress Progress      // nil for small files
	count    Count         // likewise
	client   *http.Client

	part *partial                // what w has already; nil: nothing
	room func(bytes int64) error // is to make room for what is to come; may be nil
}

// from is where the download goes on.
func (d *download) from() int64 {
	if d.part == nil {
		return 0
	}
	return d.part.hash.n
}

// to writes the file to w. Its errors are of type *Error.
func (d *download) to(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.stall, func() { cancel(fmt.Errorf("no bytes for %s", d.stall)) })
	defer stalled.Stop()

	r, total, err := d.open(ctx)
	if err != nil {
		return d.fault(ctx, err)
	}
	defer r.Close()
	return d.copy(ctx, r, total, func() { stalled.Reset(d.stall) }, w)
}

// copy writes r, which has total bytes or, if that is not known, -1. It calls
// arrived with each of its reads.
func (d *download) copy(ctx context.Context, r io.Reader, total int64, arrived func(), w io.Writer) error {
	if total > d.limit {
		return d.final(fmt.Errorf("%d bytes, more than the %d allowed", total, d.limit))
	}
	from := d.from()
	if d.room != nil && total > from {
		if err := d.room(total - from); err != nil {
			return d.final(err)
		}
	}
	b := &body{ctx: ctx, r: io.LimitReader(r, d.limit+1-from), n: from, total: total, arrived: arrived, tell: d.speak(total)}
	switch _, err := io.Copy(w, b); {
	case b.err != nil:
		return d.fault(ctx, b.err)
	case err != nil: // of w, which says what it is
		if errors.Is(err, syscall.ENOSPC) && total > 0 {
			err = fmt.Errorf("%w: there is no room for the last %s of %s", err, size(total-d.from()), size(total))
		}
		return &Error{Op: d.op, What: d.what, Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
	case b.n > d.limit:
		return d.final(fmt.Errorf("more than the %d bytes allowed", d.limit))
	}
	return nil
}

// speak tells that the download has begun, and returns what tells of it later,
// given the bytes so far.
func (d *download) speak(total int64) func(n int64) {
	name := path.Base(d.url.Path)
	if total < 0 {
		d.progress.tell("downloading %s", name)
	} else {
		d.progress.tell("downloading %s (%s)", name, size(total))
	}
	began, from := time.Now(), d.from()
	spoken := began
	return func(n int64) {
		if d.count != nil {
			d.count(n, total)
		}
		if time.Since(spoken) < every {
			return
		}
		spoken = time.Now()
		rate := float64(n-from) / time.Since(began).Seconds()
		if total > 0 {
			d.progress.tell("downloading %s: %d %% of %s, %s/s", name, 100*n/total, size(total), size(int64(rate)))
		} else {
			d.progress.tell("downloading %s: %s, %s/s", name, size(n), size(int64(rate)))
		}
	}
}

// open asks for the file. A size that is not known is -1.
func (d *download) open(ctx context.Context) (r io.ReadCloser, total int64, err error) {
	if d.url.Scheme == "file" {
		f, err := openRegular(d.url.Path)
		if err != nil {
			return nil, 0, d.final(err)
		}
		if d.part != nil {
			if err := d.part.restart(); err != nil {
				f.Close()
				return nil, 0, d.final(err)
			}
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, 0, d.final(err)
		}
		return f, info.Size(), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return nil, 0, d.final(err)
	}
	from := d.from()
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		if v := d.part.validator(); v != "" {
			req.Header.Set("If-Range", v)
		}
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case from > 0 && resp.StatusCode == http.StatusPartialContent:
		return d.resumed(resp, from)
	case from > 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		resp.Body.Close() // it has become shorter
		if err := d.part.restart(); err != nil {
			return nil, 0, d.final(err)
		}
		return d.open(ctx)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, 0, d.status(resp.StatusCode)
	}
	if d.part != nil {
		err = d.part.restart()
		if err == nil {
			err = d.part.validate(validator(resp.Header))
		}
		if err != nil {
			resp.Body.Close()
			return nil, 0, &Error{Op: d.op, What: d.what, Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
		}
	}
	return resp.Body, resp.ContentLength, nil
}

// resumed is an answer with the rest of a file (RFC 9110, section 14.4).
func (d *download) resumed(resp *http.Response, from int64) (io.ReadCloser, int64, error) {
	var first, last, total int64
	text := resp.Header.Get("Content-Range")
	_, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &total)
	if err != nil || first != from || last != total-1 || total <= from {
		resp.Body.Close()
		return nil, 0, errors.Join(d.part.restart(), fmt.Errorf("asked for all from byte %d, got %.80q", from, text))
	}
	return resp.Body, total, nil
}

// validator is what tells whether a file is still the same: a strong entity tag, or the
// time of its last change (RFC 9110, section 13.1.5).
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// status is an answer other than 200 OK. Those that a server gives when it is
// ill or busy may be followed by a better one.
func (d *download) status(code int) error {
	retry := code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
	return &Error{Op: d.op, What: d.what, Err: statusError(code), Retryable: retry}
}

// statusError is what a server answered; 404 is fs.ErrNotExist.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("%d %s", int(s), http.StatusText(int(s))) }
func (s statusError) Is(target error) bool {
	return s == http.StatusNotFound && target == fs.ErrNotExist
}

// fault says why the network gave no more. Whatever that is may pass, unless
// the asker gave up or the server is not who it should be.
func (d *download) fault(ctx context.Context, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = cause
	}
	var ue *url.Error // "Get URL: cause", where the URL may be one redirected to
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var stranger *tls.CertificateVerificationError
	final := errors.Is(err, context.Canceled) || errors.Is(err, errRedirect) || errors.As(err, &stranger)
	return &Error{Op: d.op, What: d.what, Err: err, Retryable: !final}
}

func (d *download) final(err error) error {
	return &Error{Op: d.op, What: d.what, Err: err}
}

// body counts what arrives, and keeps its own errors apart from the writer's.
type body struct {
	ctx     context.Context
	r       io.Reader
	n       int64
	total   int64 // -1: not known
	arrived func()
	tell    func(n int64)
	err     error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := 0, context.Cause(b.ctx)
	if err == nil {
		n, err = b.r.Read(p)
	}
	if n > 0 {
		b.n += int64(n)
		b.arrived()
		b.tell(b.n)
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF && (b.total < 0 || b.n >= b.total):
		return n, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	case b.ctx.Err() != nil:
		err = context.Cause(b.ctx)
	}
	if b.total >= 0 {
		b.err = fmt.Errorf("after %d of %d bytes: %w", b.n, b.total, err)
	} else {
		b.err = fmt.Errorf("after %d bytes: %w", b.n, err)
	}
	return n, b.err
}
