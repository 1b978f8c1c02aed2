package zstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Extract reads the stream r and makes its trees in dir, which must be empty:
// the top dataset in dir itself, each other in the directory of its name below.
// After an error dir is empty again. Nothing outside dir is touched, and no link
// followed. Memory is for what is known of each object, not for content.
func Extract(ctx context.Context, r io.Reader, dir *os.Root, o Options) (_ *Stream, err error) {
	if o.MaxObjects == 0 {
		o.MaxObjects = DefaultMaxObjects
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if left, err := fs.ReadDir(dir.FS(), "."); err != nil || len(left) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%s is not empty", dir.Name()))
	}
	x := &extraction{records: newRecords(ctx, r), dir: dir, options: o, stream: &Stream{}}
	if err := x.run(); err != nil {
		return nil, errors.Join(err, empty(dir))
	}
	return x.stream, nil
}

// empty removes all that is in dir.
func empty(dir *os.Root) error {
	all, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range all {
		err = errors.Join(err, dir.RemoveAll(e.Name()))
	}
	return err
}

// extraction is a stream being extracted.
type extraction struct {
	*records
	dir     *os.Root
	options Options
	stream  *Stream
	top     string // the name of the top dataset where the stream was made
	bytes   int64  // of content so far
}

// run reads all of the stream: one substream, or a package of them.
func (x *extraction) run() error {
	first, err := x.begin()
	if err != nil {
		return err
	}
	if first.header == substream {
		x.top = first.dataset
		if err := x.dataset(first); err != nil {
			return err
		}
		return x.atEnd()
	}
	// A package: its list, which the substreams repeat as far as it matters
	// here, then substreams until an END that closes nothing.
	x.top = first.dataset
	if err := x.expectEnd(); err != nil {
		return err
	}
	for {
		rec, err := x.next()
		if err != nil {
			return err
		}
		switch rec.kind {
		case end:
			if len(x.stream.Datasets) == 0 {
				return x.faultf("a package without a dataset")
			}
			return x.atEnd()
		case begin:
			b, err := parseBegin(rec)
			if err == nil && b.header != substream {
				err = errors.New("a package within a package")
			}
			if err == nil {
				err = x.dataset(b)
			}
			if err != nil {
				return x.fault(err)
			}
		default:
			return x.faultf("between datasets")
		}
	}
}

// next is read where more must come.
func (x *extraction) next() (*record, error) {
	rec, err := x.read()
	if errors.Is(err, io.EOF) {
		return nil, x.fault(fmt.Errorf("the stream is cut: %w", io.ErrUnexpectedEOF))
	}
	return rec, err
}

func (x *extraction) begin() (beginning, error) {
	rec, err := x.next()
	if err != nil {
		return beginning{}, err
	}
	b, err := parseBegin(rec)
	return b, x.fault(err)
}

// expectEnd reads the END of a package's list.
func (x *extraction) expectEnd() error {
	rec, err := x.next()
	if err == nil && rec.kind != end {
		err = x.faultf("where the list of the package ends")
	}
	return err
}

// atEnd makes sure that nothing follows: zfs receive would ignore it.
func (x *extraction) atEnd() error {
	_, err := x.read()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil && x.ctx.Err() != nil:
		return err
	}
	return &Error{Record: x.n, Offset: x.offset, What: "after the end", Err: errors.New("more follows the end of the stream")}
}

// dataset reads a substream up to its END, and makes its tree.
func (x *extraction) dataset(b beginning) error {
	name, err := below(x.top, b.dataset)
	if err != nil {
		return err
	}
	b.Name = name
	if err := x.checkOrder(b.Dataset); err != nil {
		return err
	}
	s, err := newStage(x.dir)
	if err != nil {
		return err
	}
	bytesBefore := x.bytes
	err = x.objects(s)
	if err == nil {
		b.Files, err = x.place(s, name)
	}
	if err = errors.Join(err, s.remove()); err != nil {
		return x.fault(err)
	}
	b.Bytes = x.bytes - bytesBefore
	x.stream.Datasets = append(x.stream.Datasets, b.Dataset)
	return nil
}

// checkOrder refuses what a package cannot have: a child before the top, a
// dataset twice, too many.
func (x *extraction) checkOrder(d Dataset) error {
	if len(x.stream.Datasets) == 0 && d.Name != "" {
		return fmt.Errorf("dataset %q comes before the one it is below", d.Name)
	}
	if len(x.stream.Datasets) >= maxDatasets {
		return fmt.Errorf("more than %d datasets", maxDatasets)
	}
	for _, before := range x.stream.Datasets {
		if before.Name == d.Name {
			return fmt.Errorf("dataset %q comes twice", d.Name)
		}
	}
	return nil
}

// objects stages the records of a substream up to its END.
func (x *extraction) objects(s *stage) error {
	for {
		rec, err := x.next()
		if err != nil {
			return err
		}
		switch rec.kind {
		case object:
			err = s.add(rec, x.options.MaxObjects)
		case write:
			if x.bytes += int64(len(rec.payload)); x.bytes > x.options.MaxBytes {
				err = fmt.Errorf("more than %d bytes of content", x.options.MaxBytes)
				break
			}
			err = s.write(rec)
		case spill:
			err = s.addSpill(rec)
		case free:
			err = s.free(rec)
		case freeObjects:
			err = s.freeObjects(rec)
		case end:
			return nil
		default:
			err = errors.New("within a dataset")
		}
		if err != nil {
			return x.fault(err)
		}
	}
}

// place makes the staged tree where the dataset called name belongs. A child's
// place may be a directory of its parent's already, if nothing is in it.
func (x *extraction) place(s *stage, name string) (int64, error) {
	warn := func(w string) { x.options.Warn(fmt.Sprintf("dataset %q: %s", name, w)) }
	if name == "" {
		return s.place(x.ctx, x.dir, warn)
	}
	info, err := x.dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = x.dir.Mkdir(name, 0o700)
	case err == nil && !info.IsDir():
		err = fmt.Errorf("dataset %q: its parent has something else of that name", name)
	}
	if err != nil {
		return 0, err
	}
	at, err := x.dir.OpenRoot(name)
	if err != nil {
		return 0, err
	}
	defer at.Close()
	if left, err := fs.ReadDir(at.FS(), "."); err != nil || len(left) > 0 {
		return 0, errors.Join(err, fmt.Errorf("dataset %q: its parent has files where it belongs", name))
	}
	return s.place(x.ctx, at, warn)
}
