package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
)

// privateSuffix ends the name of the file beside an image that was pulled with
// credentials. The file has the image's sources, as Sources.String writes them. A file
// from an earlier version is empty: the sources are not known.
const privateSuffix = ".private"

// errPrivate means that knowing the digest of a cached image does not give access to it.
var errPrivate = errors.New("the image in the cache was pulled with credentials")

// privacy returns the sources of a cached image that was pulled with credentials; private
// is false for any other. The directory must be locked.
func (c *Cache) privacy(ref image.Ref) (from Sources, private bool) {
	text, err := os.ReadFile(filepath.Join(c.Dir, ref.File()+privateSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	return ParseSources(string(text)), true
}

// setPrivacy records ref as a source of the image with digest d, before that image
// replaces the one in the cache, and returns whether it is private. Sources are kept if the
// cached image has the same digest: an image that was once pulled with credentials remains
// private. The directory must be locked.
func (c *Cache) setPrivacy(ref image.Ref, needsCredentials bool, d image.Digest) (private bool, err error) {
	from, private := c.privacy(ref)
	if is, err := readDigest(filepath.Join(c.Dir, ref.File()+".skein")); err != nil || is != d {
		from, private = nil, false
	}
	if !private && !needsCredentials {
		return false, nil
	}
	from = from.With(Source{Ref: ref.String(), WithCredentials: needsCredentials})
	return true, os.WriteFile(filepath.Join(c.Dir, ref.File()+privateSuffix), []byte(from.String()), 0o600)
}

// allow returns nil if a caller that asks for ref may use f from the cache, and sets
// f.NeedsCredentials. asked says that the source serves f's digest to this caller. A
// private image is for callers whose source has served it without credentials, or serves
// its .xz to opts' credentials now.
func (c *Cache) allow(ctx context.Context, f *image.File, ref image.Ref, opts image.PullOptions, from Sources, asked bool) error {
	if !f.Private {
		return nil
	}
	source, known := from.Find(ref)
	f.NeedsCredentials = source.WithCredentials
	switch {
	case known && !source.WithCredentials:
		return nil
	case known && asked:
		return c.CheckAccess(ctx, ref, opts)
	}
	return errPrivate
}

// softly calls try with opts, and again without their credentials if the source refuses
// them and opts.AuthSoftFail is set.
func softly(opts image.PullOptions, p image.StatusFunc, try func(image.PullOptions) error) error {
	err := try(opts)
	if opts.AuthSoftFail && !opts.Credentials.IsZero() && refused(err) {
		p.Report("the credentials are refused: asking without them")
		opts.Credentials = image.Credentials{}
		err = try(opts)
	}
	return err
}

// RemoteDigest returns the digest of the image that ref's source serves now. With
// opts.Key, that key must have signed it; with opts.Digest, it must be equal. RemoteDigest
// fetches only the files beside the .xz. Errors are *image.Error.
func (c *Cache) RemoteDigest(ctx context.Context, ref image.Ref, opts image.PullOptions) (d image.Digest, err error) {
	err = c.withTemp(func(t *lockdir.Dir) error {
		return softly(opts, nil, func(opts image.PullOptions) (err error) {
			d, err = c.fetchDigest(ctx, t, ref, opts)
			return err
		})
	})
	return d, err
}

// AnnouncedMeta returns what the image is layered on according to ref's source; zero if
// nothing. Nothing verifies it: only the digest of the whole image covers the .meta.
// Errors are *image.Error.
func (c *Cache) AnnouncedMeta(ctx context.Context, ref image.Ref, opts image.PullOptions) (m image.Meta, err error) {
	err = c.withTemp(func(t *lockdir.Dir) error {
		return softly(opts, nil, func(opts image.PullOptions) (err error) {
			_, m, err = c.sidecars(t, ref, opts).meta(ctx)
			return err
		})
	})
	return m, err
}

// withTemp calls f with a temporary directory in the cache, and removes the directory.
func (c *Cache) withTemp(f func(*lockdir.Dir) error) error {
	if err := c.prepare(); err != nil {
		return c.Fault(err)
	}
	t, err := lockdir.New(c.Dir, lockdir.Fetching)
	if err != nil {
		return c.Fault(err)
	}
	defer t.Remove()
	return f(t)
}

// xzMagic begins every .xz file (The .xz File Format, 2.1.1.1).
var xzMagic = []byte("\xFD7zXZ\x00")

// CheckAccess returns nil if the source serves the .xz to a caller with these opts: the
// .skein may be public even if the .xz is not. It reads only the first bytes, and checks
// that they begin an .xz file: some servers answer 200 OK with a login page. Errors are
// *image.Error.
func (c *Cache) CheckAccess(ctx context.Context, ref image.Ref, opts image.PullOptions) error {
	return softly(opts, nil, func(opts image.PullOptions) error {
		d, err := c.newDownload(ref, opts, "", 0)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		stalled := time.AfterFunc(d.Stall, func() { cancel(fmt.Errorf("no bytes for %s", d.Stall)) })
		defer stalled.Stop()
		begins, err := d.begin(ctx, len(xzMagic))
		switch {
		case err != nil:
			return d.Fault(ctx, err)
		case !bytes.Equal(begins, xzMagic):
			return d.Final(errors.New("not an xz file"))
		}
		return nil
	})
}

// begin returns the first bytes of the file, at most most. It asks for that range (RFC
// 9110, 14.2), and stops reading if the server sends the whole file.
func (d *Download) begin(ctx context.Context, most int) ([]byte, error) {
	var r io.ReadCloser
	if d.URL.Scheme == "file" {
		f, err := image.OpenRegular(d.URL.Path)
		if err != nil {
			return nil, d.Final(err)
		}
		r = f
	} else {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL.String(), nil)
		if err != nil {
			return nil, d.Final(err)
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", most-1))
		resp, err := d.Client.Do(req)
		if err != nil {
			return nil, err
		}
		r = resp.Body
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
			r.Close()
			return nil, d.Status(resp.StatusCode)
		}
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, int64(most)))
}
