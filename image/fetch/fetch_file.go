package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
)

// FetchFile fetches the file at a URL (http, https or file), whose SHA-256 is sum, and
// gives it its name in the cache when it has been verified. Like an image it is resumed
// where an earlier download of it ended, and bounded by the options. It returns an *Error.
func (c *Cache) FetchFile(ctx context.Context, from, name string, sum [sha256.Size]byte) error {
	u, as, err := parseURL(from)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Options.Timeout, fmt.Errorf("not done within %s", c.Options.Timeout))
	defer cancel()
	return c.withTemp(func(t *lockdir.Dir) error {
		p, err := c.openPartial(t, from+" sha256:"+hex.EncodeToString(sum[:]), sha256.New)
		if err != nil {
			return c.Fault(err)
		}
		defer p.close()
		d := c.downloadOf(u, as, c.Options.MaxBytes)
		d.Count = c.Options.ProgressOf("downloading " + name)
		err = d.complete(ctx, p, func() error {
			if got := p.hash.Sum(nil); !bytes.Equal(got, sum[:]) {
				return &image.Error{Op: "verify", What: d.What, Err: fmt.Errorf("want sha256:%x, got sha256:%x", sum, got)}
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = p.file.Sync()
		if err == nil {
			err = p.publish(filepath.Join(c.Dir, name))
		}
		if err != nil {
			return c.Fault(err)
		}
		return nil
	})
}

// ReadURL returns the file at a URL (http, https or file), of at most limit bytes. Its
// errors are of type *Error.
func (c *Cache) ReadURL(ctx context.Context, from string, limit int64) ([]byte, error) {
	u, as, err := parseURL(from)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = c.downloadOf(u, as, limit).To(ctx, &b)
	return b.Bytes(), err
}

// parseURL takes the credentials out of a URL.
func parseURL(s string) (*url.URL, image.Credentials, error) {
	s, as := image.CutCredentials(s)
	err := image.ValidateSource(s)
	if err == nil {
		err = as.Validate()
	}
	var u *url.URL
	if err == nil {
		u, err = url.Parse(s)
	}
	if err != nil {
		return nil, as, &image.Error{Op: "check", What: "URL", Err: err}
	}
	return u, as, nil
}
