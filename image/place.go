package image

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
)

// Place is where an image's files are, whatever their names: that of the .xz.
// The others have its name and an ending more.
type Place struct {
	shown  string   // as it was given
	url    *url.URL // of scheme file, if it is a path
	client *http.Client
}

// schemes is what a URL begins with, and a path does not.
var schemes = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// ParsePlace reads the path of an .xz file, or its URL: http, https or file.
func ParsePlace(s string) (Place, error) {
	p := Place{shown: s, client: newClient(nil)}
	if !schemes.MatchString(s) {
		if s == "" {
			return Place{}, errors.New("must be a path or a URL")
		}
		abs, err := filepath.Abs(s)
		p.url = &url.URL{Scheme: "file", Path: abs}
		return p, err
	}
	if err := validateSource(s); err != nil {
		return Place{}, err
	}
	var err error
	p.url, err = url.Parse(s)
	return p, err
}

// String is the place as it was given.
func (p Place) String() string { return p.shown }

// local tells whether the image is a file of this machine.
func (p Place) local() bool { return p.url.Scheme == "file" }

// download is of the file with that ending.
func (p Place) download(ending string, limit int64, count Count) *download {
	u := *p.url
	u.Path += ending
	if u.RawPath != "" {
		u.RawPath += ending
	}
	op := "fetch"
	if p.local() {
		op = "read"
	}
	return &download{
		op: op, what: p.shown + ending, url: &u, limit: limit,
		stall: defaultStallTimeout, count: count, client: p.client,
	}
}

// small is the file with that ending, of at most limit bytes. One that is
// optional may not be there, which is nil.
func (p Place) small(ctx context.Context, ending string, limit int64, optional bool) ([]byte, error) {
	var b bytes.Buffer
	err := p.download(ending, limit, nil).to(ctx, &b)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b.Bytes(), err
}

// open is the .xz of a place on this machine, and an empty, unnamed file in dir
// for any other. If dir is "", that is nil.
func (p Place) open(dir string) (*os.File, error) {
	if p.local() {
		f, err := openRegular(p.url.Path)
		if err != nil {
			err = &Error{Op: "read", What: p.shown, Err: err}
		}
		return f, err
	}
	if dir == "" {
		return nil, nil
	}
	f, err := os.CreateTemp(dir, fetching)
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
func (p Place) read(ctx context.Context, xz *os.File, w io.Writer, count Count) (int64, error) {
	n := &counter{}
	d := p.download("", defaultMaxBytes, count)
	if !p.local() {
		to := []io.Writer{w, n}
		if xz != nil {
			to = append(to, xz)
		}
		err := d.to(ctx, io.MultiWriter(to...))
		return n.Load(), err
	}
	info, err := xz.Stat()
	if err != nil {
		return 0, err
	}
	d.limit = info.Size() // whatever it is: it takes no room
	err = d.copy(ctx, io.NewSectionReader(xz, 0, info.Size()), info.Size(), func() {}, io.MultiWriter(w, n))
	return n.Load(), err
}
