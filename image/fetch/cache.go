package fetch

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/skein"
	"nomad-driver-pot/image/xz"
)

// Default bounds.
const (
	defaultMaxBytes     = 16 << 30    // of an .xz file
	DefaultStallTimeout = time.Minute // without a byte from the server
)

// DefaultMaxTreeBytes bounds the bytes of an image when it is unpacked.
const DefaultMaxTreeBytes = 64 << 30

// Options bound the resources of a fetch. A zero field has the default in its comment.
type Options struct {
	MaxBytes     int64          // of an .xz file: 16 GiB
	MaxTreeBytes int64          // of what is in it, decoded, and of its files: DefaultMaxTreeBytes
	Timeout      time.Duration  // of a whole fetch: 1 hour
	StallTimeout time.Duration  // without a byte from the server: DefaultStallTimeout
	MaxParallel  int            // fetches at once: 4
	Decode       xz.Options     // of what was fetched
	CacheBytes   int64          // of all files in the cache: no bound
	Roots        *x509.CertPool // that vouch for servers; nil: the system's

	// OnProgress is called before an .xz is downloaded or imported, and returns the function
	// to report its progress to. It and its result may be nil.
	OnProgress func(what string) image.ProgressFunc
}

// ProgressOf returns the function that the progress of what is reported to, or nil.
func (o Options) ProgressOf(what string) image.ProgressFunc {
	if o.OnProgress == nil {
		return nil
	}
	return o.OnProgress(what)
}

// Cache keeps image files in a directory, under the names that pot gives them.
// It may be pot's own cache, and other processes may use it at the same time:
// a file is verified before it gets its name, and again before each use. All
// methods may be called concurrently.
type Cache struct {
	Dir     string
	Options Options
	client  *http.Client
	slots   chan struct{} // one for each fetch at once
}

// NewCache returns a cache in dir, which the first use creates with mode 0700: an image
// may be private.
func NewCache(dir string, o Options) *Cache {
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultMaxBytes)
	o.MaxTreeBytes = cmp.Or(o.MaxTreeBytes, DefaultMaxTreeBytes)
	o.Timeout = cmp.Or(o.Timeout, time.Hour)
	o.StallTimeout = cmp.Or(o.StallTimeout, DefaultStallTimeout)
	o.MaxParallel = cmp.Or(o.MaxParallel, 4)
	return &Cache{Dir: dir, Options: o, client: NewClient(o.Roots), slots: make(chan struct{}, o.MaxParallel)}
}

// Fetch returns ref's image, verified and open; the caller must close it. If opts.Digest
// is set, the image has that digest, and without a key the cache may serve it without
// asking the source. Otherwise Fetch asks the source for the digest that it serves now,
// since images of different sources share file names; the cached image is used if it has
// that digest, or if the source cannot be reached and no key is required.
//
// An image that was pulled with credentials is served from the cache only if ref's source
// gives it to these credentials (allow). At most MaxParallel fetches run at once; others
// wait. Errors are *image.Error. A failed fetch leaves the images in the cache as they
// are, except that prune may have made room for it.
func (c *Cache) Fetch(ctx context.Context, ref image.Ref, opts image.PullOptions, progress image.StatusFunc) (*image.File, error) {
	if err := ref.Validate(); err != nil {
		return nil, &image.Error{Op: "check", What: "image reference", Err: err}
	}
	if err := c.prepare(); err != nil {
		return nil, c.Fault(err)
	}
	if opts.Digest != (image.Digest{}) && opts.Key == nil {
		if f, err := c.cached(ctx, ref, opts.Digest, opts, false, progress); err == nil {
			return f, nil
		}
	}
	ctx, done, err := c.Begin(ctx, ref.File(), ref.String(), progress)
	if err != nil {
		return nil, err
	}
	defer done()
	var f *image.File
	err = softly(opts, progress, func(opts image.PullOptions) (err error) {
		f, err = c.fetch(ctx, ref, opts, progress)
		return err
	})
	return f, err
}

// Begin waits until a fetch may begin: at most MaxParallel run at once. It returns the fetch's
// context, which ends after Timeout. The caller must call done after the fetch.
func (c *Cache) Begin(ctx context.Context, what, ref string, progress image.StatusFunc) (_ context.Context, done func(), err error) {
	select {
	case c.slots <- struct{}{}:
	default:
		progress.Report("waiting for other downloads before %s", what)
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, ContextError(ctx, "fetch", ref)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Options.Timeout, fmt.Errorf("not done within %s", c.Options.Timeout))
	return ctx, func() {
		cancel()
		<-c.slots
	}, nil
}

// Prepare creates the directory and removes what crashes have left in it.
func (c *Cache) Prepare() error {
	if err := c.prepare(); err != nil {
		return c.Fault(err)
	}
	return nil
}

// prepare creates the directory and removes what crashes have left in it.
func (c *Cache) prepare() error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	c.removeStalePartials(time.Now())
	return lockdir.RemoveStale(c.Dir, lockdir.Fetching, func(*lockdir.Dir) error { return nil })
}

// cached returns the image from the cache, verified, if it has wantDigest (zero matches
// any) and the caller may use it (allow). asked says that the source serves wantDigest to
// the caller.
func (c *Cache) cached(ctx context.Context, ref image.Ref, wantDigest image.Digest, opts image.PullOptions, asked bool, progress image.StatusFunc) (_ *image.File, err error) {
	if opts.Refetch {
		return nil, errPrivate
	}
	f, raw, from, err := c.open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if wantDigest != (image.Digest{}) && wantDigest != f.Digest {
		return nil, &image.DigestError{Want: wantDigest, Got: f.Digest}
	}
	if f.Meta, err = image.ParseMeta(raw); err != nil {
		return nil, err
	}
	if err := c.allow(ctx, f, ref, opts, from, asked); err != nil {
		return nil, err
	}
	progress.Report("verifying %s", ref.File())
	c.touch(ref)
	h := skein.New()
	if f.Bytes, err = io.Copy(h, contextReader{ctx, f.XZ}); err != nil {
		return nil, err
	}
	if err := image.VerifyDigest(h, f.Bytes, raw, f.Digest); err != nil {
		return nil, err
	}
	return f, nil
}

// open opens the files of an image in the cache and returns its sources, which decide
// who may use it. It waits while another process changes them. It verifies nothing.
func (c *Cache) open(ctx context.Context, ref image.Ref) (f *image.File, meta []byte, from Sources, err error) {
	unlock, err := lockdir.LockShared(ctx, c.Dir)
	if err != nil {
		return nil, nil, nil, err
	}
	defer unlock()
	name := filepath.Join(c.Dir, ref.File())
	f = &image.File{}
	if f.Digest, err = readDigest(name + ".skein"); err != nil {
		return nil, nil, nil, err
	}
	if meta, err = readSmall(name + ".meta"); err != nil {
		return nil, nil, nil, err
	}
	f.HasMeta = len(meta) > 0
	from, f.Private = c.privacy(ref)
	f.XZ, err = image.OpenRegular(name)
	return f, meta, from, err
}

// fetch downloads the three files, verifies them and moves them into the cache. It
// downloads the .xz into a partial, which a later fetch can resume.
func (c *Cache) fetch(ctx context.Context, ref image.Ref, opts image.PullOptions, progress image.StatusFunc) (_ *image.File, err error) {
	t, err := lockdir.New(c.Dir, lockdir.Fetching)
	if err != nil {
		return nil, c.Fault(err)
	}
	defer t.Remove()

	want, err := c.fetchDigest(ctx, t, ref, opts)
	// Without a digest or a signature to meet, a cached image beats an outage of its source.
	unreachable := image.Retryable(err) && ctx.Err() == nil && opts.Key == nil && opts.Digest == (image.Digest{})
	if asked := err == nil; asked || unreachable {
		if f, err := c.cached(ctx, ref, want, opts, asked, progress); err == nil {
			f.Signed(opts)
			return f, nil
		}
	}
	if err != nil {
		return nil, err
	}
	raw, meta, err := c.sidecars(t, ref, opts).meta(ctx)
	if err != nil {
		return nil, err
	}
	p, err := c.openPartial(t, ref.String()+" "+want.String(), skein.New)
	if err != nil {
		return nil, c.Fault(err)
	}
	defer p.close()
	d, err := c.newDownload(ref, opts, "", c.Options.MaxBytes)
	if err != nil {
		return nil, err
	}
	d.progress, d.Count = progress, c.Options.ProgressOf("downloading "+ref.File())
	d.room = func(bytes int64) error { return c.prune(ctx, ref, bytes) }
	err = d.complete(ctx, p, func() error {
		if err := image.VerifyDigest(p.hash, p.n, raw, want); err != nil {
			return &image.Error{Op: "verify", What: ref.String(), Err: err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f := &image.File{Verified: image.Verified{Digest: want, Meta: meta, HasMeta: len(raw) > 0, Bytes: p.n}, NeedsCredentials: !opts.Credentials.IsZero()}
	xz := filepath.Join(t.Path, ref.File())
	if err = p.publish(xz); err == nil {
		f.XZ, err = os.Open(xz)
	}
	if err == nil {
		f.Private, err = c.publish(ctx, t, ref, f.NeedsCredentials, want)
	}
	if err == nil {
		err = c.prune(ctx, ref, 0)
	}
	if err != nil {
		f.Close()
		return nil, c.Fault(err)
	}
	f.Signed(opts)
	return f, nil
}

// publish moves the files into the cache, and returns whether the image is private. The
// .xz comes last: a process that sees it finds the other files beside it. The mark of a
// private image is written before its files, and removed after they are replaced.
func (c *Cache) publish(ctx context.Context, t *lockdir.Dir, ref image.Ref, needsCredentials bool, d image.Digest) (private bool, err error) {
	unlock, err := lockdir.LockShared(ctx, c.Dir)
	if err != nil {
		return false, err
	}
	defer unlock()
	if private, err = c.setPrivacy(ref, needsCredentials, d); err != nil {
		return private, err
	}
	for _, suffix := range []string{".skein", ".meta", ""} {
		name := ref.File() + suffix
		if err := os.Rename(filepath.Join(t.Path, name), filepath.Join(c.Dir, name)); err != nil {
			return private, err
		}
	}
	if !private {
		err = os.RemoveAll(filepath.Join(c.Dir, ref.File()+privateSuffix))
	}
	return private, err
}

// newDownload returns the download of the image's file with that suffix, of at most limit
// bytes.
func (c *Cache) newDownload(ref image.Ref, opts image.PullOptions, suffix string, limit int64) (*Download, error) {
	u, err := ref.URL(suffix)
	if err != nil {
		return nil, &image.Error{Op: "check", What: "image reference", Err: err}
	}
	return c.downloadOf(u, opts.Credentials, limit), nil
}

// downloadOf returns the download of the file at u, of at most limit bytes. Only u's
// server gets the credentials.
func (c *Cache) downloadOf(u *url.URL, as image.Credentials, limit int64) *Download {
	return &Download{
		Op: "fetch", What: u.Redacted(), URL: u, Limit: limit, Stall: c.Options.StallTimeout, Client: ClientFor(c.client, as, u),
	}
}

// Fault returns err, an error of the cache's own directory that names its file, as
// *image.Error. It is retryable if the disk is full.
func (c *Cache) Fault(err error) *image.Error {
	return &image.Error{Op: "use", What: "image cache", Err: err, Retryable: errors.Is(err, syscall.ENOSPC)}
}

// ContextError returns the error of an operation whose context has ended. It is retryable
// unless the context was cancelled: a deadline may be met another time.
func ContextError(ctx context.Context, op, what string) *image.Error {
	err := context.Cause(ctx)
	return &image.Error{Op: op, What: what, Err: err, Retryable: !errors.Is(err, context.Canceled)}
}

// NewContextReader returns a reader of r that fails with ctx's cause once ctx has ended.
// It does not interrupt a Read of r.
func NewContextReader(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

// contextReader implements NewContextReader.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
