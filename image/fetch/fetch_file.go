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
// renames it to name in the cache after it is verified and synced. It resumes an earlier
// download of the same URL and sum, and is bounded by MaxBytes, Timeout and StallTimeout;
// MaxParallel and CacheBytes do not apply. Errors are *image.Error.
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

// ReadURL returns the contents of the file at a URL (http, https or file), which may have
// at most limit bytes. Errors are *image.Error.
func (c *Cache) ReadURL(ctx context.Context, from string, limit int64) ([]byte, error) {
	u, as, err := parseURL(from)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = c.downloadOf(u, as, limit).To(ctx, &b)
	return b.Bytes(), err
}

// parseURL splits a URL into the URL without credentials and its credentials.
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
