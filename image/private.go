package image

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
)

// privateEnding is of a file beside an image that not all may have: its sources, as
// sources.String. Of an earlier version it is empty, and its sources are not known.
const privateEnding = ".private"

// errPrivate is an image in the cache that is not for whoever knows its digest.
var errPrivate = errors.New("the image in the cache was pulled with credentials")

// privacy returns the sources of an image in the cache that was pulled with a Login;
// private is false for one that was not. The directory must be locked.
func (c *Cache) privacy(ref Ref) (from sources, private bool) {
	text, err := os.ReadFile(filepath.Join(c.dir, ref.File()+privateEnding))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	return parseSources(string(text)), true
}

// setPrivacy says of an image that replaces the one in the cache who may have it, before
// it does. The directory must be locked.
func (c *Cache) setPrivacy(ref Ref, login bool, d Digest) (private bool, err error) {
	from, private := c.privacy(ref)
	if is, err := readDigest(filepath.Join(c.dir, ref.File()+".skein")); err != nil || is != d {
		from, private = nil, false
	}
	if !private && !login {
		return false, nil
	}
	from = from.with(source{ref: ref.String(), login: login})
	return true, os.WriteFile(filepath.Join(c.dir, ref.File()+privateEnding), []byte(from.String()), 0o600)
}

// allow returns nil if f, which is in the cache, is for who asks for it as ref, and notes
// why. asked is whether the source has said, to them, that it is f that it serves.
func (c *Cache) allow(ctx context.Context, f *File, ref Ref, terms Terms, from sources, asked bool) error {
	if !f.private {
		return nil
	}
	source, known := from.find(ref)
	f.login = source.login
	switch {
	case known && !source.login:
		return nil
	case known && asked:
		return c.checkAccess(ctx, ref, terms)
	}
	return errPrivate
}

// softly calls try with the terms, and again without their Login if the source refuses
// that and the terms allow it.
func softly(terms Terms, p Progress, try func(Terms) error) error {
	err := try(terms)
	if terms.Optional && !terms.Login.IsZero() && refused(err) {
		p.tell("the credentials are refused: asking without them")
		terms.Login = Login{}
		err = try(terms)
	}
	return err
}

// Announced is the digest that the source says the image has, on these terms: to who
// may ask for it, and signed as it must be.
func (c *Cache) Announced(ctx context.Context, ref Ref, terms Terms) (d Digest, err error) {
	err = c.withTemp(func(t *temp) error {
		return softly(terms, nil, func(terms Terms) (err error) {
			d, err = c.fetchDigest(ctx, t, ref, terms)
			return err
		})
	})
	return d, err
}

// announcedMeta is what the source says that the image is layered on.
func (c *Cache) announcedMeta(ctx context.Context, ref Ref, terms Terms) (m Meta, err error) {
	err = c.withTemp(func(t *temp) error {
		return softly(terms, nil, func(terms Terms) (err error) {
			_, m, err = c.fetchMeta(ctx, t, ref, terms)
			return err
		})
	})
	return m, err
}

// withTemp gives f a directory for the time that it takes.
func (c *Cache) withTemp(f func(*temp) error) error {
	if err := c.prepare(); err != nil {
		return c.fault(err)
	}
	t, err := newTemp(c.dir, fetching)
	if err != nil {
		return c.fault(err)
	}
	defer t.remove()
	return f(t)
}

// xzMagic begins every .xz file (The .xz File Format, 2.1.1.1).
var xzMagic = []byte("\xFD7zXZ\x00")

// checkAccess returns nil if the source gives the .xz to who asks for it on these terms:
// the digest beside it may be for all to read. It reads the beginning, and no more:
// servers have been seen to answer 200 OK with a page to log in.
func (c *Cache) checkAccess(ctx context.Context, ref Ref, terms Terms) error {
	return softly(terms, nil, func(terms Terms) error {
		u, err := ref.url("")
		if err != nil {
			return &Error{Op: "check", What: "image reference", Err: err}
		}
		d := &download{op: "fetch", what: u.Redacted(), url: u, stall: c.options.StallTimeout, client: as(c.client, terms.Login, u)}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		stalled := time.AfterFunc(d.stall, func() { cancel(fmt.Errorf("no bytes for %s", d.stall)) })
		defer stalled.Stop()
		begins, err := d.begin(ctx, len(xzMagic))
		switch {
		case err != nil:
			return d.fault(ctx, err)
		case !bytes.Equal(begins, xzMagic):
			return d.final(errors.New("not an xz file"))
		}
		return nil
	})
}

// begin returns the first bytes of the file, at most that many.
func (d *download) begin(ctx context.Context, most int) ([]byte, error) {
	var r io.ReadCloser
	if d.url.Scheme == "file" {
		f, err := openRegular(d.url.Path)
		if err != nil {
			return nil, d.final(err)
		}
		r = f
	} else {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
		if err != nil {
			return nil, d.final(err)
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", most-1))
		resp, err := d.client.Do(req)
		if err != nil {
			return nil, err
		}
		r = resp.Body
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
			r.Close()
			return nil, d.status(resp.StatusCode)
		}
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, int64(most)))
}
