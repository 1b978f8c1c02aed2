package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/zstream"
)

// tempPrefix begins the names of datasets that are being imported. They are no
// image's: those have the name of a pot before the first '_'.
const tempPrefix = "_import-"

// undoTimeout is how long the undoing of an import may take, whose own time is
// over.
const undoTimeout = time.Minute

// Datasets are a host's datasets, as a store needs them. pot.Images is the same, with
// the contracts of each method. Names are relative to where pots are kept: "hello_1_0".
// All methods may be called at the same time for different names.
type Datasets interface {
	Receiver
	Catalog
	Labels
}

// A Receiver creates, renames and destroys images. A name that is taken is fs.ErrExist,
// and stays; a name that does not exist can be destroyed.
type Receiver interface {
	Receive(ctx context.Context, name string, stream io.Reader) error
	ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
		below func(context.Context) ([]io.ReadCloser, error)) error
	Rename(ctx context.Context, from, to string) error
	Destroy(ctx context.Context, name string) error
}

// A Catalog lists datasets.
type Catalog interface {
	List(ctx context.Context, prefix string) ([]string, error)
	Idle(ctx context.Context, label string) ([]string, error)
	GUIDs(ctx context.Context, name string) ([]uint64, error)
}

// Labels are texts that stay with a dataset, also when it is renamed.
type Labels interface {
	SetLabels(ctx context.Context, name string, labels map[string]string) error
	Labels(ctx context.Context, name string) (map[string]string, error)
	Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error)
}

// Imported is an image that pots can be cloned from.
type Imported struct {
	Name   string       // of the dataset
	Digest image.Digest // zero when another tool imported it, and did not say
}

// Store makes images available as datasets.
type Store struct {
	cache    *fetch.Cache
	datasets Datasets
	flights  pulls

	nothingLost atomic.Bool // sweepLost has found nothing that is left of a crash
}

// NewStore is the images in d, and those that c can fetch. All who use the same
// datasets should use the same cache directory: leftovers of a crash are found
// by what is in it.
func NewStore(c *fetch.Cache, d Datasets) *Store {
	return &Store{cache: c, datasets: d}
}

// Ensure returns ref's image, and fetches and imports it if it is not there.
// Unless pin is zero it is the image with that digest. Those who ask for the
// same at the same time share one fetch and one import; the first to give up
// does not end them, the last does. Errors of type *Error say whether to ask
// again: see Retryable.
func (s *Store) Ensure(ctx context.Context, ref image.Ref, terms image.PullOptions, progress image.StatusFunc) (Imported, error) {
	if err := ref.Validate(); err != nil {
		return Imported{}, &image.Error{Op: "check", What: "image reference", Err: err}
	}
	if ctx.Err() != nil {
		return Imported{}, fetch.ContextError(ctx, "wait for", ref.String())
	}
	return s.flights.do(ctx, pullKey{ref.String(), terms.Comparable()}, progress, func(ctx context.Context, p image.StatusFunc) (Imported, error) {
		return s.ensure(ctx, ref, terms, p)
	})
}

// ensure is Ensure's work, for all who ask for it. Another process may be faster, and
// what it imports under the name is looked at as what was there before.
func (s *Store) ensure(ctx context.Context, ref image.Ref, terms image.PullOptions, p image.StatusFunc) (Imported, error) {
	if terms.Own {
		return s.pullBeside(ctx, ref, terms, p)
	}
	for tries := 1; ; tries++ {
		found, room, err := s.reuse(ctx, ref, terms, p)
		if err != nil {
			return Imported{}, s.useError(ctx, ref, err)
		}
		if found != nil {
			return found.Imported, nil
		}
		snapshot, err := s.pull(ctx, ref, terms, room, p)
		if !errors.Is(err, fs.ErrExist) || tries == 3 {
			return snapshot, err
		}
	}
}

// bringOwn imports what no dataset may have the name of yet.
func (s *Store) pullBeside(ctx context.Context, ref image.Ref, terms image.PullOptions, p image.StatusFunc) (Imported, error) {
	_, err := s.datasets.Labels(ctx, ref.Dataset())
	if errors.Is(err, fs.ErrNotExist) {
		return s.pull(ctx, ref, terms, room{}, p)
	}
	if err == nil {
		err = fs.ErrExist
	}
	return Imported{}, s.fault(ctx, ref, err)
}

// bring fetches the image and imports it under a temporary name, which it
// changes for its own when nothing more can go wrong. Where that is taken, the
// error is fs.ErrExist.
func (s *Store) pull(ctx context.Context, ref image.Ref, terms image.PullOptions, room room, p image.StatusFunc) (_ Imported, err error) {
	f, err := s.cache.Fetch(ctx, ref, terms, p)
	if err != nil {
		return Imported{}, err
	}
	defer f.Close()
	as, err := s.nameIn(ctx, room, ref, f.Digest)
	if err != nil {
		return Imported{}, s.fault(ctx, ref, err)
	}
	on, err := s.ensureOrigins(ctx, ref, terms, f.Meta, p)
	if err != nil {
		return Imported{}, s.fault(ctx, ref, err)
	}
	if err := s.sweep(ctx); err != nil {
		return Imported{}, s.cache.Fault(err)
	}
	if err := s.removeStaleImports(ctx); err != nil {
		return Imported{}, s.fault(ctx, ref, err)
	}
	t, err := lockdir.New(s.cache.Dir, lockdir.Importing)
	if err != nil {
		return Imported{}, s.cache.Fault(err)
	}
	defer func() {
		if err == nil || s.undo(ctx, t) == nil {
			t.Remove()
		} else {
			t.Release()
		}
	}()
	p.Report("importing %s", ref.File())
	name := tempPrefix + t.ID()
	decode := s.cache.Options.Decode
	decode.Count = s.cache.Options.ProgressOf("importing " + ref.File())
	decoded := f.Open(ctx, decode)
	received, err := s.receive(ctx, ref, t, f.Digest, decoded, on)
	decoded.Close()
	if err != nil {
		return Imported{}, err
	}
	if err := s.datasets.SetLabels(ctx, name, labelsFor(ref, terms, room, f, received, on)); err != nil {
		return Imported{}, s.fault(ctx, ref, err)
	}
	if err := s.disclaim(ctx, room.claims, ref); err != nil { // before another does
		return Imported{}, s.fault(ctx, ref, err)
	}
	if err := s.datasets.Rename(ctx, name, as); err != nil {
		return Imported{}, s.fault(ctx, ref, err)
	}
	return Imported{Name: as, Digest: f.Digest}, nil
}

// labelsFor returns the labels of an image that was just received.
func labelsFor(ref image.Ref, terms image.PullOptions, room room, f *image.File, received receipt, on *originDataset) map[string]string {
	labels := map[string]string{LabelReceived: received.String()}
	if !terms.Own {
		labels[LabelRef], labels[LabelDigest] = ref.String(), f.Digest.String()
	}
	if terms.Key != nil {
		labels[LabelSigner] = terms.Key.Fingerprint()
	}
	if f.Private {
		labels[LabelLogin] = "required"
	}
	// A job that names the digest says nothing of what its reference stands for now.
	from := fetch.Source{Ref: ref.String(), Login: f.NeedsCredentials, Gone: room.taken && terms.Digest != image.Digest{}}
	if from.Gone || f.Private && !f.NeedsCredentials {
		labels[LabelSources] = fetch.Sources{from}.String()
	}
	if on != nil {
		labels[LabelOrigin] = on.Meta.String() + " " + on.origin.Digest.String()
	}
	return labels
}

// receive imports the stream under t's name, to its end. Nothing of it reaches the
// host before it has been vetted, its checksums were found to hold, and no other image
// was found to have its GUIDs.
func (s *Store) receive(ctx context.Context, ref image.Ref, t *lockdir.Dir, d image.Digest, decoded io.Reader, on *originDataset) (received receipt, err error) {
	most := s.cache.Options.MaxTreeBytes
	o := zstream.Options{MaxBytes: most, Scratch: t.Path, Visit: vetEntry, NewList: true}
	if on != nil {
		below, err := on.streams(ctx)
		if err != nil {
			return received, s.fault(ctx, ref, err)
		}
		defer closeAll(below)
		for _, r := range below {
			o.Origins = append(o.Origins, r)
		}
	}
	var claimed error // what is here is against it, not the stream
	check := func(head *zstream.Stream) error {
		if err := (vet{layer: on != nil}).stream(head); err != nil {
			return err
		}
		received = receiptOf(d, head)
		claimed = s.claim(ctx, t, ref, received)
		return claimed
	}
	stream := &stream{r: fetch.NewContextReader(ctx, decoded), most: most}
	passed := newVetted(func(w io.Writer) error {
		_, err := zstream.CopyVerified(ctx, w, stream, o, check)
		return err
	})
	if name := tempPrefix + t.ID(); on == nil {
		err = s.datasets.Receive(ctx, name, passed)
	} else {
		err = s.datasets.ReceiveLayer(ctx, name, on.origin.Name, on.Meta.Snapshot, passed, on.streams)
	}
	switch refused := passed.end(); {
	case ctx.Err() != nil:
	case stream.err != nil && stream.err != io.EOF:
		return received, &image.Error{Op: "decode", What: ref.File() + " of " + ref.String(), Err: stream.err}
	case claimed != nil:
		err = claimed
	case errors.Is(refused, errNotRead):
		if err == nil { // it is content with the beginning
			err = refused
		}
	case refused != nil:
		err = refused
	}
	if err != nil {
		return received, s.fault(ctx, ref, err)
	}
	return received, nil
}

// stream remembers what reading it ended with, for errors of the decoder are no
// faults of the stream's. It ends in one when it has more than most bytes: a small
// .xz can have any number of them.
type stream struct {
	r       io.Reader
	n, most int64
	err     error
}

func (s *stream) Read(p []byte) (n int, err error) {
	n, err = s.r.Read(p)
	if s.n += int64(n); s.n > s.most {
		n, err = 0, fmt.Errorf("it has more than the %d bytes allowed when it is decoded", s.most)
	}
	if err != nil {
		s.err = err
	}
	return n, err
}

// sweep destroys what crashes have left half imported.
func (s *Store) sweep(ctx context.Context) error {
	return lockdir.RemoveStale(s.cache.Dir, lockdir.Importing, func(t *lockdir.Dir) error { return s.undo(ctx, t) })
}

// sweepLost does so with what the cache knows nothing of any more, because it was
// emptied meanwhile. Once nothing is left there is no more to do: what this process loses
// later, the next one finds.
func (s *Store) removeStaleImports(ctx context.Context) error {
	if s.nothingLost.Load() {
		return nil
	}
	names, err := s.datasets.List(ctx, tempPrefix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // there are no datasets at all
		return err
	}
	if len(names) == 0 {
		s.nothingLost.Store(true)
	}
	for _, name := range names {
		id := strings.TrimPrefix(name, tempPrefix)
		_, err := os.Stat(filepath.Join(s.cache.Dir, lockdir.Importing+id))
		if errors.Is(err, fs.ErrNotExist) && lockdir.IsStale(id) {
			_ = s.datasets.Destroy(ctx, name) // what cannot be is tried at the next sweep
		}
	}
	return nil
}

// undo destroys what was made under t's name, also when the time for making it
// is over.
func (s *Store) undo(ctx context.Context, t *lockdir.Dir) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return s.datasets.Destroy(ctx, tempPrefix+t.ID())
}

// fault is an import that came to nothing. What the host refuses once it will
// refuse again, but for want of room.
func (s *Store) fault(ctx context.Context, ref image.Ref, err error) error {
	if ctx.Err() != nil {
		return fetch.ContextError(ctx, "import", ref.String())
	}
	retry := errors.Is(err, syscall.ENOSPC)
	var of *image.Error // of what it is layered on
	if errors.As(err, &of) {
		retry = of.Retryable
	}
	return &image.Error{Op: "import", What: ref.String(), Err: err, Retryable: retry}
}
