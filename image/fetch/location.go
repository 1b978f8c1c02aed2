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

// Location is where an image's files are, whatever their names: that of the .xz.
// The others have its name and an ending more.
type Location struct {
	text   string   // as it was given
	URL    *url.URL // of scheme file, if it is a path
	client *http.Client
}

// Schemes is what a URL begins with, and a path does not.
var Schemes = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// ParseLocation reads the path of an .xz file, or its URL: http, https or file.
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

// String is the place as it was given.
func (p Location) String() string { return p.text }

// Local tells whether the image is a file of this machine.
func (p Location) Local() bool { return p.URL.Scheme == "file" }

// Download is of the file with that ending.
func (p Location) Download(ending string, limit int64, count image.ProgressFunc) *Download {
	u := *p.URL
	u.Path += ending
	if u.RawPath != "" {
		u.RawPath += ending
	}
	op := "fetch"
	if p.Local() {
		op = "read"
	}
	return &Download{
		Op: op, What: p.text + ending, URL: &u, Limit: limit,
		Stall: DefaultStallTimeout, Count: count, Client: p.client,
	}
}

// sidecars are the files beside the image.
func (p Location) sidecars() sidecars {
	return sidecars{name: func(suffix string) string { return p.text + suffix }, read: p.Small}
}

// small returns the file with that suffix, of at most limitOf bytes. A missing file is
// nil if it is optional.
func (p Location) Small(ctx context.Context, suffix string, optional bool) ([]byte, error) {
	var b bytes.Buffer
	err := p.Download(suffix, LimitOf(suffix), nil).To(ctx, &b)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b.Bytes(), err
}

// open is the .xz of a place on this machine, and an empty, unnamed file in dir
// for any other. If dir is "", that is nil.
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

// read brings the .xz to xz, which open has returned, and to w.
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
	d.Limit = info.Size() // whatever it is: it takes no room
	err = d.copy(ctx, io.NewSectionReader(xz, 0, info.Size()), info.Size(), func() {}, io.MultiWriter(w, n))
	return n.Load(), err
}
