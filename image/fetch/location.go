package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
)

// Location is the path or URL of an image's .xz file, whatever its name. The image's other
// files have the same name with a suffix: .skein, .meta, .skein.sig.
type Location struct {
	text   string   // as it was given
	URL    *url.URL // its scheme is file if it is a path
	client *http.Client
}

// Schemes matches the beginning of a URL, and of no path.
var Schemes = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// ParseLocation parses the path of an .xz file, or its URL: http, https or file. It does not
// look for the file.
func ParseLocation(s string) (Location, error) {
	p := Location{text: s, client: NewClient(nil)}
	if !Schemes.MatchString(s) {
		if s == "" {
			return Location{}, errors.New("must be a path or a URL")
		}
		abs, err := filepath.Abs(s)
		p.URL = &url.URL{Scheme: "file", Path: abs}
		return p, err
	}
	if err := image.ValidateSource(s); err != nil {
		return Location{}, err
	}
	var err error
	p.URL, err = url.Parse(s)
	return p, err
}

// String returns the path or URL as it was given.
func (p Location) String() string { return p.text }

// Local reports whether the image is a file on this machine.
func (p Location) Local() bool { return p.URL.Scheme == "file" }

// Download returns the download of the image's file with that suffix, "" for the .xz, of at
// most limit bytes. count may be nil.
func (p Location) Download(suffix string, limit int64, count image.ProgressFunc) *Download {
	u := *p.URL
	u.Path += suffix
	if u.RawPath != "" {
		u.RawPath += suffix
	}
	op := "fetch"
	if p.Local() {
		op = "read"
	}
	return &Download{
		Op: op, What: p.text + suffix, URL: &u, Limit: limit,
		Stall: DefaultStallTimeout, Count: count, Client: p.client,
	}
}

// sidecars are the files beside the image.
func (p Location) sidecars() sidecars {
	return sidecars{name: func(suffix string) string { return p.text + suffix }, read: p.Small}
}

// Small returns the contents of the file with that suffix, of at most LimitOf bytes. It
// returns nil for a missing file that is optional. Errors are *image.Error.
func (p Location) Small(ctx context.Context, suffix string, optional bool) ([]byte, error) {
	var b bytes.Buffer
	err := p.Download(suffix, LimitOf(suffix), nil).To(ctx, &b)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b.Bytes(), err
}

// open opens a local .xz. For a remote one it returns an empty, unnamed file in dir, which
// the system frees even after a crash, or nil if dir is "".
func (p Location) open(dir string) (*os.File, error) {
	if p.Local() {
		f, err := image.OpenRegular(p.URL.Path)
		if err != nil {
			err = &image.Error{Op: "read", What: p.text, Err: err}
		}
		return f, err
	}
	if dir == "" {
		return nil, nil
	}
	f, err := os.CreateTemp(dir, lockdir.Fetching)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// read writes the .xz to w and, if it is remote, to xz, which open has returned and may be
// nil. It returns the number of bytes. A local file is read from its beginning, whatever the
// offset of xz, and only as far as it reached when read began.
func (p Location) read(ctx context.Context, xz *os.File, w io.Writer, count image.ProgressFunc) (int64, error) {
	n := &image.Counter{}
	d := p.Download("", defaultMaxBytes, count)
	if !p.Local() {
		to := []io.Writer{w, n}
		if xz != nil {
			to = append(to, xz)
		}
		err := d.To(ctx, io.MultiWriter(to...))
		return n.Load(), err
	}
	info, err := xz.Stat()
	if err != nil {
		return 0, err
	}
	d.Limit = info.Size() // no bound: a local file takes no more room
	err = d.copy(ctx, io.NewSectionReader(xz, 0, info.Size()), info.Size(), func() {}, io.MultiWriter(w, n))
	return n.Load(), err
}
