package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/skein"
)

// PushOptions say how images are published.
type PushOptions struct {
	fetch.Checks                           // of the image, before anything is sent
	Replace      bool                      // an image of that name that is another
	Credentials  image.Credentials         // for the server that is published to, and no other
	Sent         image.ProgressFunc        // of the .xz as it is sent; may be nil
	Back         image.ProgressFunc        // of the .xz as it is read back; may be nil
	Retries      int                       // how often a file is sent again; 0: none
	Wait         func(n int) time.Duration // before the n-th time, from 1; nil: 1 s, 2 s, 4 s and so on
	Warn         func(string)              // of what goes on nevertheless; may be nil
}

// Pushed is what was published.
type Pushed struct {
	image.Verified
	To      string // the .xz
	Already bool   // it was there, all of it
}

// A shelf is where images are offered: files by their names. Its errors are of type
// *Error.
type target interface {
	// shown is a file for an error: never with a secret.
	shown(name string) string

	// read gives w a file of at most limit bytes. None is fs.ErrNotExist.
	read(ctx context.Context, name string, w io.Writer, limit int64, count image.ProgressFunc) error

	// put makes a file, whole, in place of what has that name. If isNew, nothing is
	// replaced where that can be: a name that is taken is errTaken.
	put(ctx context.Context, name string, r *io.SectionReader, isNew bool, count image.ProgressFunc) error

	// remove takes a file away. None is no error.
	remove(ctx context.Context, name string) error

	// lock keeps other pushes away until unlock, where that can be.
	lock(ctx context.Context) (unlock func(), err error)
}

// errTaken is an image of the same name that somebody else has published.
var errTaken = fmt.Errorf("another image of that name: %w", fs.ErrExist)

// Push publishes the image at p, which is on this machine, in a directory, or the one
// of a server that takes PUT, by its path or URL.
//
// Whoever fetches an image asks for its .skein first: it is sent last, when all else
// has been read back and is right, and an image that takes another's place has its
// .skein taken away first. So no half of an image is ever offered.
func Push(ctx context.Context, p fetch.Location, to string, o PushOptions) (Pushed, error) {
	if !p.Local() {
		return Pushed{}, fmt.Errorf("publish %s: is not on this machine", p)
	}
	name := path.Base(p.URL.Path)
	if base, ok := strings.CutSuffix(name, ".xz"); !ok || image.ValidatePart(base) != nil {
		return Pushed{}, fmt.Errorf("publish %s: its name must be as in hello_1.0.xz", p)
	}
	s, err := openTarget(to, o)
	if err != nil {
		return Pushed{}, err
	}
	f, err := p.Open(ctx, o.Checks, "")
	if err != nil {
		return Pushed{}, err
	}
	defer f.Close()
	push := pushing{PushOptions: o, target: s, name: name, file: f}
	if push.sig, err = p.Small(ctx, ".skein.sig", true); err != nil {
		return Pushed{}, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Pushed{}, err
	}
	defer unlock()
	already, err := push.publish(ctx)
	return Pushed{Verified: f.Verified, To: s.shown(name), Already: already}, err
}

// openShelf is a directory's or a server's.
func openTarget(to string, o PushOptions) (target, error) {
	if !fetch.Schemes.MatchString(to) {
		if to == "" {
			return nil, errors.New("where to publish must be a directory or a URL")
		}
		dir, err := filepath.Abs(to)
		return dirTarget{dir}, err
	}
	if err := image.ValidateSource(to); err != nil {
		return nil, err
	}
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return dirTarget{u.Path}, nil
	}
	return newHTTPTarget(u, o)
}

// pushing is one image on its way.
type pushing struct {
	PushOptions
	target target
	name   string // of the .xz
	file   *image.File

	sig []byte // nil: there is none
}

// publish puts the files where they are to be, unless they are there already.
func (p *pushing) publish(ctx context.Context) (already bool, err error) {
	there, err := p.small(ctx, ".skein")
	switch {
	case err != nil:
		return false, err
	case there == nil:
	case bytes.Equal(there, p.file.SkeinText):
		if p.verifyPublished(ctx) == nil {
			return true, nil
		} // else it is damaged: it has that digest, and is not what that is of
	case !p.Replace:
		return false, p.fault("", errTaken)
	}
	if there != nil {
		if err := p.target.remove(ctx, p.name+".skein"); err != nil {
			return false, err
		}
	}
	if err := p.send(ctx, there == nil && !p.Replace); err != nil {
		if there != nil {
			err = fmt.Errorf("%w; it is not offered any more until it is published again", err)
		}
		return false, err
	}
	return false, nil
}

// send puts all files, the .skein last. If isNew, an image that another push has
// published meanwhile keeps its .skein.
func (p *pushing) send(ctx context.Context, isNew bool) error {
	if err := p.again(ctx, "", io.NewSectionReader(p.file.XZ, 0, p.file.Bytes), false, p.Sent); err != nil {
		return err
	}
	for _, small := range []struct {
		ending string
		data   []byte
	}{{".meta", p.file.MetaText}, {".skein.sig", p.sig}} {
		err := p.sendSmall(ctx, small.ending, small.data, false)
		if err != nil {
			return err
		}
	}
	if err := p.verifyPublished(ctx); err != nil {
		return err
	}
	if err := p.sendSmall(ctx, ".skein", p.file.SkeinText, isNew); err != nil {
		return err
	}
	switch got, err := p.small(ctx, ".skein"); {
	case err != nil:
		return err
	case !bytes.Equal(got, p.file.SkeinText):
		return p.fault(".skein", errors.New("is not what was sent"))
	}
	return nil
}

// sendSmall puts a file, or has none there.
func (p *pushing) sendSmall(ctx context.Context, ending string, data []byte, isNew bool) error {
	if data == nil {
		return p.target.remove(ctx, p.name+ending)
	}
	return p.again(ctx, ending, io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), isNew, nil)
}

// again puts a file, and tries that again if it may succeed then. What it finds there
// when it tries again may be its own, of a request whose answer was lost.
func (p *pushing) again(ctx context.Context, ending string, r *io.SectionReader, isNew bool, count image.ProgressFunc) error {
	wait := p.Wait
	if wait == nil {
		wait = func(n int) time.Duration { return time.Second << min(n-1, 5) }
	}
	return fetch.Retry(ctx, p.Retries+1, wait, func(n int) (bool, error) {
		err := p.target.put(ctx, p.name+ending, r, isNew && n == 1, count)
		return image.Retryable(err), err
	})
}

// confirm reads back all but the .skein, and says whether it is what was verified.
func (p *pushing) verifyPublished(ctx context.Context) error {
	for _, small := range []struct {
		ending string
		data   []byte
	}{{".meta", p.file.MetaText}, {".skein.sig", p.sig}} {
		got, err := p.small(ctx, small.ending)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, small.data) {
			return p.fault(small.ending, errors.New("is not what was sent"))
		}
	}
	h := skein.New()
	n := &image.Counter{}
	if err := p.target.read(ctx, p.name, io.MultiWriter(h, n), p.file.Bytes, p.Back); err != nil {
		return err
	}
	if err := image.VerifyDigest(h, n.Load(), p.file.MetaText, p.file.Digest); err != nil {
		return p.fault("", err)
	}
	return nil
}

// small is a file, nil if there is none.
func (p *pushing) small(ctx context.Context, ending string) ([]byte, error) {
	var b bytes.Buffer
	err := p.target.read(ctx, p.name+ending, &b, fetch.LimitOf(ending), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b.Bytes(), err
}

func (p *pushing) fault(ending string, err error) *image.Error {
	return &image.Error{Op: "publish", What: p.target.shown(p.name + ending), Err: err}
}
