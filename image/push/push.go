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

// PushOptions are the options of Push.
type PushOptions struct {
	fetch.Checks                           // of the image, before anything is sent
	Replace      bool                      // replace another image of the same name
	Credentials  image.Credentials         // for the server that is published to, and no other
	Sent         image.ProgressFunc        // of the .xz as it is sent; may be nil
	Back         image.ProgressFunc        // of the .xz as it is read back; may be nil
	Retries      int                       // how often a file is sent again; 0: never
	Wait         func(n int) time.Duration // pause before retry n, from 1; nil: 1 s, 2 s, 4 s to 32 s
	Warn         func(string)              // of problems that do not stop the push; may be nil
}

// Pushed is the result of Push.
type Pushed struct {
	image.Verified
	To      string // the .xz
	Already bool   // the target had all files already: nothing was sent
}

// target is a directory or a server that images are published to: files by name. Its
// errors have type *image.Error.
type target interface {
	// shown returns a file's path or URL for an error, without secrets.
	shown(name string) string

	// read writes a file of at most limit bytes to w. It returns fs.ErrNotExist if there is
	// no such file.
	read(ctx context.Context, name string, w io.Writer, limit int64, count image.ProgressFunc) error

	// put creates or replaces a file atomically. If isNew, it returns errTaken for an
	// existing file, where the target can tell.
	put(ctx context.Context, name string, r *io.SectionReader, isNew bool, count image.ProgressFunc) error

	// remove removes a file. It returns nil if there is none.
	remove(ctx context.Context, name string) error

	// lock excludes other pushes until unlock, where the target can.
	lock(ctx context.Context) (unlock func(), err error)
}

// errTaken means that the target has another image of the same name.
var errTaken = fmt.Errorf("another image of that name: %w", fs.ErrExist)

// Push publishes the image at p, which must be on this machine, to a directory or to a
// server that accepts PUT; to is a path or a URL.
//
// A client fetches the .skein of an image first. So Push sends it last, after it has read
// back and verified all other files, and removes the .skein of an image that it replaces
// first. No client ever sees part of an image: if Push fails or is killed in between, the
// target has no image of that name, and Push can be repeated. Errors other than for unusable
// arguments are *image.Error, or wrap one.
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

// openTarget returns the target for a path or a URL: http, https or file. It contacts no
// server.
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

// pushing is one push in progress.
type pushing struct {
	PushOptions
	target target
	name   string // of the .xz
	file   *image.File

	sig []byte // nil: there is none
}

// publish sends the files, unless the target has them already. It verifies that they are
// intact before it says so, and sends them again if they are not, even without Replace.
func (p *pushing) publish(ctx context.Context) (already bool, err error) {
	there, err := p.small(ctx, ".skein")
	switch {
	case err != nil:
		return false, err
	case there == nil:
	case bytes.Equal(there, p.file.SkeinText):
		if p.verifyPublished(ctx) == nil {
			return true, nil
		} // else its other files are damaged
	case !p.Replace:
		return false, p.fault("", errTaken)
	}
	if there != nil { // no client may use the image while its files change
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

// send puts all files, the .skein last, and reads all of them back. If isNew, it returns
// errTaken if another push has published its .skein meanwhile, where the target can tell.
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

// sendSmall puts a file with that suffix, or removes the target's if data is nil: a stale
// .skein.sig would not fit the image.
func (p *pushing) sendSmall(ctx context.Context, suffix string, data []byte, isNew bool) error {
	if data == nil {
		return p.target.remove(ctx, p.name+suffix)
	}
	return p.again(ctx, suffix, io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), isNew, nil)
}

// again puts a file, and retries it up to Retries times after retryable errors. Only the
// first attempt insists on isNew: a file that a retry finds may be its own, from a request
// whose response was lost.
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

// verifyPublished reads back all files but the .skein, and returns an error if they differ
// from the files that were verified. It compares the .xz by digest.
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

// small returns the contents of the target's file with that suffix, or nil if there is none.
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
