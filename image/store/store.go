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

// tempPrefix begins the names of datasets that are being imported. No image has such a
// name: an image's name has the name of a pot before the first '_'.
const tempPrefix = "_import-"

// undoTimeout bounds the removal of a failed import, whose own context may have ended.
const undoTimeout = time.Minute

// Datasets are a host's datasets, as a store needs them. pot.Images is the same, with
// the contract of each method. Names are relative to the dataset of all pots:
// "hello_1_0". All methods may be called concurrently for different names.
type Datasets interface {
	Receiver
	Catalog
	Labels
}

// A Receiver creates, renames and destroys images. Receive, ReceiveLayer and Rename return
// fs.ErrExist if the name is taken, and leave that dataset alone. Destroy returns nil if
// there is no such dataset.
type Receiver interface {
	Receive(ctx context.Context, name string, stream io.Reader) error
	ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
		below func(context.Context) ([]io.ReadCloser, error)) error
	Rename(ctx context.Context, from, to string) error
	Destroy(ctx context.Context, name string) error
}

// A Catalog lists datasets. A method may return fs.ErrNotExist if there are no datasets at
// all.
type Catalog interface {
	List(ctx context.Context, prefix string) ([]string, error)
	Idle(ctx context.Context, label string) ([]string, error)
	GUIDs(ctx context.Context, name string) ([]uint64, error)
}

// Labels are texts that stay with a dataset, also when it is renamed. Labels returns
// fs.ErrNotExist if there is no such dataset, and fs.ErrInvalid if its labels are damaged.
type Labels interface {
	SetLabels(ctx context.Context, name string, labels map[string]string) error
	Labels(ctx context.Context, name string) (map[string]string, error)
	Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error)
}

// Imported is an image that pots can be cloned from.
type Imported struct {
	Name     string       // of the dataset
	Digest   image.Digest // zero if another tool imported it and did not record a digest
	Manifest string       // of a container image, in place of Digest: "sha256:..."
}

// DigestText returns the digest, "" if there is none.
func (im Imported) DigestText() string {
	if im.Digest != (image.Digest{}) {
		return im.Digest.String()
	}
	return im.Manifest
}

// reference is what an image is imported from: image.Ref, or image.Container with a digest.
type reference interface {
	String() string
	Dataset() string
}

// Store makes images available as datasets. All methods may be called concurrently.
type Store struct {
	cache    *fetch.Cache
	datasets Datasets
	pulls    pulls

	noStaleImports atomic.Bool // removeStaleImports has found nothing left of a crash
}

// NewStore returns a store of the images in d and of the images that c can fetch.
// Processes that use the same datasets should use the same cache directory: its
// contents show what a crash has left.
func NewStore(c *fetch.Cache, d Datasets) *Store {
	return &Store{cache: c, datasets: d}
}

// Ensure returns ref's image, and fetches and imports it if it is not here. If
// opts.Digest is set, the image has that digest. Concurrent calls with the same ref and
// options share one pull, which is cancelled when the last caller's context ends. Errors
// of type *image.Error say whether a retry may succeed: see image.Retryable.
func (s *Store) Ensure(ctx context.Context, ref image.Ref, opts image.PullOptions, progress image.StatusFunc) (Imported, error) {
	if err := ref.Validate(); err != nil {
		return Imported{}, &image.Error{Op: "check", What: "image reference", Err: err}
	}
	if ctx.Err() != nil {
		return Imported{}, fetch.ContextError(ctx, "wait for", ref.String())
	}
	return s.pulls.do(ctx, pullKey{ref.String(), opts.Comparable()}, progress, func(ctx context.Context, p image.StatusFunc) (Imported, error) {
		return s.ensure(ctx, ref, opts, p)
	})
}

// ensure does the work of Ensure, for all callers that share it. If another process
// imports an image under the same name first, ensure starts over and considers that one.
func (s *Store) ensure(ctx context.Context, ref image.Ref, opts image.PullOptions, p image.StatusFunc) (Imported, error) {
	if opts.AsPot {
		return s.pullBeside(ctx, ref, opts, p)
	}
	for tries := 1; ; tries++ {
		found, room, err := s.reuse(ctx, ref, opts, p)
		if err != nil {
			return Imported{}, s.useError(ctx, ref, err)
		}
		if found != nil {
			return found.Imported, nil
		}
		snapshot, err := s.pull(ctx, ref, opts, room, p)
		if !errors.Is(err, fs.ErrExist) || tries == 3 {
			return snapshot, err
		}
	}
}

// pullBeside imports an image as a pot that may be changed: without the labels of an image.
// It returns fs.ErrExist if a dataset has its name.
func (s *Store) pullBeside(ctx context.Context, ref image.Ref, opts image.PullOptions, p image.StatusFunc) (Imported, error) {
	_, err := s.datasets.Labels(ctx, ref.Dataset())
	if errors.Is(err, fs.ErrNotExist) {
		return s.pull(ctx, ref, opts, room{}, p)
	}
	if err == nil {
		err = fs.ErrExist
	}
	return Imported{}, s.importError(ctx, ref, err)
}

// pull fetches the image, imports it under a temporary name, and renames it when all
// else has succeeded. It returns fs.ErrExist if the final name is taken. A failed pull
// destroys its dataset; if that fails too, or the process is killed, removeStale does.
func (s *Store) pull(ctx context.Context, ref image.Ref, opts image.PullOptions, room room, p image.StatusFunc) (_ Imported, err error) {
	f, err := s.cache.Fetch(ctx, ref, opts, p)
	if err != nil {
		return Imported{}, err
	}
	defer f.Close()
	as, err := s.nameIn(ctx, room, ref, f.Digest)
	if err != nil {
		return Imported{}, s.importError(ctx, ref, err)
	}
	on, err := s.ensureOrigins(ctx, ref, opts, f.Meta, p)
	if err != nil {
		return Imported{}, s.importError(ctx, ref, err)
	}
	if err := s.removeStale(ctx); err != nil {
		return Imported{}, s.cache.Fault(err)
	}
	if err := s.removeStaleImports(ctx); err != nil {
		return Imported{}, s.importError(ctx, ref, err)
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
	received, err := s.receive(ctx, ref, t, f.Digest.String(), decoded, on)
	decoded.Close()
	if err != nil {
		return Imported{}, err
	}
	if err := s.datasets.SetLabels(ctx, name, labelsFor(ref, opts, room, f, received, on)); err != nil {
		return Imported{}, s.importError(ctx, ref, err)
	}
	if err := s.markGone(ctx, room.claims, ref); err != nil { // before two images claim ref
		return Imported{}, s.importError(ctx, ref, err)
	}
	if err := s.datasets.Rename(ctx, name, as); err != nil {
		return Imported{}, s.importError(ctx, ref, err)
	}
	return Imported{Name: as, Digest: f.Digest}, nil
}

// labelsFor returns the labels of an image that was just received. The rename that follows
// makes labels and name visible at once.
func labelsFor(ref image.Ref, opts image.PullOptions, room room, f *image.File, received receipt, on *originDataset) map[string]string {
	labels := map[string]string{LabelReceived: received.String()}
	if !opts.AsPot {
		labels[LabelRef], labels[LabelDigest] = ref.String(), f.Digest.String()
	}
	if opts.Key != nil {
		labels[LabelSigner] = opts.Key.Fingerprint()
	}
	if f.Private {
		labels[LabelLogin] = "required"
	}
	// A pull by digest does not show what the source serves for the reference now.
	from := fetch.Source{Ref: ref.String(), WithCredentials: f.NeedsCredentials, Superseded: room.taken && opts.Digest != image.Digest{}}
	if from.Superseded || f.Private && !f.NeedsCredentials {
		labels[LabelSources] = fetch.Sources{from}.String()
	}
	if on != nil {
		labels[LabelOrigin] = on.Meta.String() + " " + on.origin.Digest.String()
	}
	return labels
}

// receive imports the whole stream under t's temporary name. No byte reaches the host
// before it is vetted, its checksums are verified, and no other image is found to have
// its GUIDs.
func (s *Store) receive(ctx context.Context, ref reference, t *lockdir.Dir, digest string, decoded io.Reader, on *originDataset) (received receipt, err error) {
	most := s.cache.Options.MaxTreeBytes
	o := zstream.Options{MaxBytes: most, Scratch: t.Path, Visit: vetEntry, NewList: true}
	if on != nil {
		below, err := on.streams(ctx)
		if err != nil {
			return received, s.importError(ctx, ref, err)
		}
		defer closeAll(below)
		for _, r := range below {
			o.Origins = append(o.Origins, r)
		}
	}
	var claimed error // another image is in the way; the stream itself is good
	check := func(head *zstream.Stream) error {
		if err := (vet{layer: on != nil}).stream(head); err != nil {
			return err
		}
		received = receiptOf(digest, head)
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
		return received, &image.Error{Op: "decode", What: fileOf(ref), Err: stream.err}
	case claimed != nil:
		err = claimed
	case errors.Is(refused, errNotRead):
		if err == nil { // the host succeeded, and read only the beginning
			err = refused
		}
	case refused != nil:
		err = refused
	}
	if err != nil {
		return received, s.importError(ctx, ref, err)
	}
	return received, nil
}

// fileOf returns what is decoded, for an error.
func fileOf(ref reference) string {
	if r, is := ref.(image.Ref); is {
		return r.File() + " of " + r.String()
	}
	return ref.String()
}

// stream records the error that reading it ended with: an error of the decoder is not an
// error of the zfs stream. It fails after most bytes, since a small .xz can decode to any
// number of them.
type stream struct {
	r       io.Reader
	n, most int64
	err     error
}

// Read implements io.Reader.
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

// removeStale destroys the partial imports that crashes have left, of this process or any
// other that used the cache.
func (s *Store) removeStale(ctx context.Context) error {
	return lockdir.RemoveStale(s.cache.Dir, lockdir.Importing, func(t *lockdir.Dir) error { return s.undo(ctx, t) })
}

// removeStaleImports destroys partial imports that have no directory in the cache any
// more, because somebody emptied it. After it has found none it does nothing: what this
// process leaves later, the next one finds.
func (s *Store) removeStaleImports(ctx context.Context) error {
	if s.noStaleImports.Load() {
		return nil
	}
	names, err := s.datasets.List(ctx, tempPrefix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // there are no datasets at all
		return err
	}
	if len(names) == 0 {
		s.noStaleImports.Store(true)
	}
	for _, name := range names {
		id := strings.TrimPrefix(name, tempPrefix)
		_, err := os.Stat(filepath.Join(s.cache.Dir, lockdir.Importing+id))
		if errors.Is(err, fs.ErrNotExist) && lockdir.IsStale(id) {
			_ = s.datasets.Destroy(ctx, name) // a failure is retried by the next pull
		}
	}
	return nil
}

// undo destroys the dataset with t's temporary name, also after ctx has ended.
func (s *Store) undo(ctx context.Context, t *lockdir.Dir) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return s.datasets.Destroy(ctx, tempPrefix+t.ID())
}

// importError returns err as the *image.Error of a failed import. It is retryable if the
// disk was full, or if err is a retryable *image.Error: a host that refuses a stream once
// refuses it again.
func (s *Store) importError(ctx context.Context, ref reference, err error) error {
	if ctx.Err() != nil {
		return fetch.ContextError(ctx, "import", ref.String())
	}
	retry := errors.Is(err, syscall.ENOSPC)
	var of *image.Error // from an image that it is layered on
	if errors.As(err, &of) {
		retry = of.Retryable
	}
	return &image.Error{Op: "import", What: ref.String(), Err: err, Retryable: retry}
}
