package fetch

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

	"nomad-driver-pot/image"
)

// every is how often a long download is spoken of.
const every = 10 * time.Second

// A download is one file on its way.
type Download struct {
	Op, What string // of its errors: "fetch" and a URL without secrets
	URL      *url.URL
	Limit    int64              // bytes it may have
	Stall    time.Duration      // how long no byte may arrive
	progress image.StatusFunc   // nil for small files
	Count    image.ProgressFunc // likewise
	Client   *http.Client

	part *partial                // what w has already; nil: nothing
	room func(bytes int64) error // is to make room for what is to come; may be nil
}

// from is where the download goes on.
func (d *Download) from() int64 {
	if d.part == nil {
		return 0
	}
	return d.part.n
}

// To writes the file to w. Its errors are of type *Error.
func (d *Download) To(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.Stall, func() { cancel(fmt.Errorf("no bytes for %s", d.Stall)) })
	defer stalled.Stop()

	r, total, err := d.open(ctx)
	if err != nil {
		return d.Fault(ctx, err)
	}
	defer r.Close()
	return d.copy(ctx, r, total, func() { stalled.Reset(d.Stall) }, w)
}

// copy writes r, which has total bytes or, if that is not known, -1. It calls
// arrived with each of its reads.
func (d *Download) copy(ctx context.Context, r io.Reader, total int64, arrived func(), w io.Writer) error {
	if total > d.Limit {
		return d.Final(fmt.Errorf("%d bytes, more than the %d allowed", total, d.Limit))
	}
	from := d.from()
	if d.room != nil && total > from {
		if err := d.room(total - from); err != nil {
			return d.Final(err)
		}
	}
	b := &body{ctx: ctx, r: io.LimitReader(r, d.Limit+1-from), n: from, total: total, arrived: arrived, tell: d.speak(total)}
	switch _, err := io.Copy(w, b); {
	case b.err != nil:
		return d.Fault(ctx, b.err)
	case err != nil: // of w, which says what it is
		if errors.Is(err, syscall.ENOSPC) && total > 0 {
			err = fmt.Errorf("%w: there is no room for the last %s of %s", err, image.FormatSize(total-d.from()), image.FormatSize(total))
		}
		return &image.Error{Op: d.Op, What: d.What, Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
	case b.n > d.Limit:
		return d.Final(fmt.Errorf("more than the %d bytes allowed", d.Limit))
	}
	return nil
}

// speak tells that the download has begun, and returns what tells of it later,
// given the bytes so far.
func (d *Download) speak(total int64) func(n int64) {
	name := path.Base(d.URL.Path)
	if total < 0 {
		d.progress.Report("downloading %s", name)
	} else {
		d.progress.Report("downloading %s (%s)", name, image.FormatSize(total))
	}
	began, from := time.Now(), d.from()
	spoken := began
	return func(n int64) {
		if d.Count != nil {
			d.Count(n, total)
		}
		if time.Since(spoken) < every {
			return
		}
		spoken = time.Now()
		rate := float64(n-from) / time.Since(began).Seconds()
		if total > 0 {
			d.progress.Report("downloading %s: %d %% of %s, %s/s", name, 100*n/total, image.FormatSize(total), image.FormatSize(int64(rate)))
		} else {
			d.progress.Report("downloading %s: %s, %s/s", name, image.FormatSize(n), image.FormatSize(int64(rate)))
		}
	}
}

// open asks for the file. A size that is not known is -1.
func (d *Download) open(ctx context.Context) (r io.ReadCloser, total int64, err error) {
	if d.URL.Scheme == "file" {
		f, err := image.OpenRegular(d.URL.Path)
		if err != nil {
			return nil, 0, d.Final(err)
		}
		if d.part != nil {
			if err := d.part.restart(); err != nil {
				f.Close()
				return nil, 0, d.Final(err)
			}
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, 0, d.Final(err)
		}
		return f, info.Size(), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL.String(), nil)
	if err != nil {
		return nil, 0, d.Final(err)
	}
	from := d.from()
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		if v := d.part.validator(); v != "" {
			req.Header.Set("If-Range", v)
		}
	}
	resp, err := d.Client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case from > 0 && resp.StatusCode == http.StatusPartialContent:
		return d.resumed(resp, from)
	case from > 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		resp.Body.Close() // it has become shorter
		if err := d.part.restart(); err != nil {
			return nil, 0, d.Final(err)
		}
		return d.open(ctx)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, 0, d.Status(resp.StatusCode)
	}
	if d.part != nil {
		err = d.part.restart()
		if err == nil {
			err = d.part.validate(validator(resp.Header))
		}
		if err != nil {
			resp.Body.Close()
			return nil, 0, &image.Error{Op: d.Op, What: d.What, Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
		}
	}
	return resp.Body, resp.ContentLength, nil
}

// resumed is an answer with the rest of a file (RFC 9110, section 14.4).
func (d *Download) resumed(resp *http.Response, from int64) (io.ReadCloser, int64, error) {
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

// Status is an answer other than 200 OK. Those that a server gives when it is
// ill or busy may be followed by a better one.
func (d *Download) Status(code int) error {
	retry := code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
	return &image.Error{Op: d.Op, What: d.What, Err: StatusError(code), Retryable: retry}
}

// StatusError is what a server answered; 404 is fs.ErrNotExist.
type StatusError int

func (s StatusError) Error() string { return fmt.Sprintf("%d %s", int(s), http.StatusText(int(s))) }
func (s StatusError) Is(target error) bool {
	return s == http.StatusNotFound && target == fs.ErrNotExist
}

// Fault says why the network gave no more. Whatever that is may pass, unless
// the asker gave up or the server is not who it should be.
func (d *Download) Fault(ctx context.Context, err error) error {
	var e *image.Error
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
	return &image.Error{Op: d.Op, What: d.What, Err: err, Retryable: !final}
}

func (d *Download) Final(err error) error {
	return &image.Error{Op: d.Op, What: d.What, Err: err}
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
