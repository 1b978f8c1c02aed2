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

// reportEvery is the interval between reports of a long download.
const reportEvery = 10 * time.Second

// Download is the transfer of one file. It is for one use at a time.
type Download struct {
	Op, What string             // of its errors: "fetch" and a URL without secrets
	URL      *url.URL           // http, https or file
	Limit    int64              // maximum size, in bytes
	Stall    time.Duration      // maximum time without a byte from the server
	progress image.StatusFunc   // nil for small files
	Count    image.ProgressFunc // nil for small files
	Client   *http.Client       // for http and https

	part *partial                // what To writes to, if the download can be resumed
	room func(bytes int64) error // makes room for that many more bytes; may be nil
}

// from returns the offset at which the download continues.
func (d *Download) from() int64 {
	if d.part == nil {
		return 0
	}
	return d.part.n
}

// To writes the file to w, or the rest of it if part has its beginning. It fails if the file
// is larger than Limit, or shorter than the server announced. After an error, w may have
// part of the file. Errors are *image.Error; a missing file is also fs.ErrNotExist.
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

// copy writes r to w; total is the size of the whole file, or -1 if unknown. It calls
// arrived after each read.
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
	// One byte more than Limit shows that the file is too large.
	b := &body{ctx: ctx, r: io.LimitReader(r, d.Limit+1-from), n: from, total: total, arrived: arrived, report: d.reporter(total)}
	switch _, err := io.Copy(w, b); {
	case b.err != nil:
		return d.Fault(ctx, b.err)
	case err != nil: // from w, which names its file
		if errors.Is(err, syscall.ENOSPC) && total > 0 {
			err = fmt.Errorf("%w: there is no room for the last %s of %s", err, image.FormatSize(total-d.from()), image.FormatSize(total))
		}
		return &image.Error{Op: d.Op, What: d.What, Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
	case b.n > d.Limit:
		return d.Final(fmt.Errorf("more than the %d bytes allowed", d.Limit))
	}
	return nil
}

// reporter reports that the download has begun, and returns a function that reports its
// progress, given the bytes so far.
func (d *Download) reporter(total int64) func(n int64) {
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
		if time.Since(spoken) < reportEvery {
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

// open requests the file, from the end of part on, and returns its total size, or -1 if
// unknown. If the server sends the whole file nevertheless, open discards part's bytes:
// If-Range has it do so when the file has changed (RFC 9110, section 13.1.5).
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
		resp.Body.Close() // the file has become shorter
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

// resumed returns the body of a response with the rest of a file (RFC 9110, section 14.4).
// If the response has another range than the one that was asked for, it discards part's
// bytes and returns an error, which Fault makes retryable.
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

// validator returns the value that changes when a file does: a strong entity tag, or the
// time of the last change (RFC 9110, section 13.1.5).
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// Status returns the error for a status other than 200 OK, as *image.Error. It is retryable
// for 5xx, 429 and 408.
func (d *Download) Status(code int) error {
	retry := code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
	return &image.Error{Op: d.Op, What: d.What, Err: StatusError(code), Retryable: retry}
}

// StatusError is the HTTP status of a response; 404 is fs.ErrNotExist.
type StatusError int

// Error returns the number and the text of the status.
func (s StatusError) Error() string { return fmt.Sprintf("%d %s", int(s), http.StatusText(int(s))) }

// Is reports that 404 is fs.ErrNotExist.
func (s StatusError) Is(target error) bool {
	return s == http.StatusNotFound && target == fs.ErrNotExist
}

// Fault returns an error of the network as *image.Error. It is retryable unless the caller
// cancelled, or the server's certificate or a redirect was refused.
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

// Final returns err as an *image.Error that is not retryable.
func (d *Download) Final(err error) error {
	return &image.Error{Op: d.Op, What: d.What, Err: err}
}

// body counts the bytes of a response. It stores its own error, so that copy can tell it
// from an error of the writer; io.Copy returns either.
type body struct {
	ctx     context.Context
	r       io.Reader
	n       int64
	total   int64  // -1 if unknown
	arrived func() // called after each read of at least one byte
	report  func(n int64)
	err     error
}

// Read implements io.Reader. A body that ends before total bytes is io.ErrUnexpectedEOF.
func (b *body) Read(p []byte) (int, error) {
	n, err := 0, context.Cause(b.ctx)
	if err == nil {
		n, err = b.r.Read(p)
	}
	if n > 0 {
		b.n += int64(n)
		b.arrived()
		b.report(b.n)
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
