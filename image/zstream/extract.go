package zstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
)

// Extract reads the stream r and makes its trees in dir, which must be empty:
// the top dataset in dir itself, each other in the directory of its name below.
// After an error dir is empty again. Nothing outside dir is touched, and no link
// followed. Memory is for what is known of each object, not for content.
//
// Without root, owners and devices are left out, and Options.Warn is told.
func Extract(ctx context.Context, r io.Reader, dir *os.Root, o Options) (*Stream, error) {
	switch there, err := fs.ReadDir(dir.FS(), "."); {
	case err != nil:
		return nil, err
	case len(there) > 0:
		return nil, fmt.Errorf("%s is not empty", dir.Name())
	}
	x := &extraction{
		records: newRecords(ctx, r), dir: dir, options: o.withDefaults(),
		stream: &Stream{}, left: omissions{},
	}
	if err := x.run(); err != nil {
		return nil, errors.Join(err, empty(dir))
	}
	x.warn()
	return x.stream, nil
}

// empty removes all that is in dir.
func empty(dir *os.Root) error {
	if os.Geteuid() != 0 { // a directory's own mode may forbid it
		_ = fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && name != "." {
				err = dir.Chmod(name, 0o700)
			}
			return err
		})
	}
	all, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range all {
		err = errors.Join(err, dir.RemoveAll(e.Name()))
	}
	return err
}

// extraction is a stream being extracted.
type extraction struct {
	*records
	dir      *os.Root
	options  Options
	stream   *Stream
	top      string    // the name of the top dataset where the stream was made
	contents *contents // of a package
	roots    []*node   // of the datasets, which their directories become at the end
	held     int64     // bytes of payloads so far
	left     omissions
}

// run reads all of the stream: one substream, or a package of them.
func (x *extraction) run() error {
	rec, err := x.read()
	if err != nil {
		return err
	}
	b, err := parseBegin(rec)
	if err != nil {
		return x.fault(err)
	}
	x.top = b.dataset
	if b.header == substream {
		err = x.dataset(b)
	} else {
		err = x.pack(rec)
	}
	if err == nil {
		err = x.atEnd()
	}
	if err == nil {
		err = x.finish()
	}
	return err
}

// pack reads a package: its list, of which rec is the BEGIN, then substreams
// until an END that closes none. Each substream must have been announced, and
// all that were announced must come: one that was cut between two datasets, and
// ended again, is not what was sent.
func (x *extraction) pack(rec *record) (err error) {
	if x.contents, err = parseContents(rec.payload); err != nil {
		return x.fault(err)
	}
	if rec, err = x.read(); err != nil {
		return err
	}
	if rec.kind != end {
		return x.faultf("it is within the list of a package")
	}
	for {
		if rec, err = x.read(); err != nil {
			return err
		}
		if rec.kind == end {
			break
		}
		b, err := parseBegin(rec)
		if err == nil && b.header != substream {
			err = errors.New("it begins a package within a package")
		}
		if err == nil {
			err = x.contents.check(b)
		}
		if err != nil {
			return x.fault(err)
		}
		if err := x.dataset(b); err != nil {
			return err
		}
	}
	if want, got := len(x.contents.snapshots), len(x.stream.Datasets); got != want {
		return x.faultf("the package has %d datasets of the %d in its list", got, want)
	}
	return nil
}

// dataset reads a substream up to its END, and makes its tree. Nothing has a name
// in the tree before the checksum of all the substream was seen to hold.
func (x *extraction) dataset(b beginning) error {
	var err error
	if b.Name, err = below(x.top, b.dataset); err == nil {
		err = x.checkOrder(b.Name)
	}
	if err != nil {
		return x.fault(err)
	}
	s, err := newStage(x.dir, rules{features: b.features, maxObjects: x.options.MaxObjects})
	if err != nil {
		return x.fault(err)
	}
	b.Bytes, err = x.objects(s, b.GUID)
	if err == nil {
		t := &tree{ctx: x.ctx, stage: s, left: x.left, limit: x.options.MaxObjects}
		if err = x.place(t, b.Name); err != nil && x.ctx.Err() == nil {
			err = fmt.Errorf("dataset %q: %w", b.dataset, err)
		}
		b.Files = t.names
	}
	if err = errors.Join(err, s.remove()); err != nil {
		return x.fault(err)
	}
	x.stream.Datasets = append(x.stream.Datasets, b.Dataset)
	return nil
}

// checkOrder refuses what a package cannot have: a dataset before the one it is
// below, one twice, too many.
func (x *extraction) checkOrder(name string) error {
	known := func(name string) bool {
		return slices.ContainsFunc(x.stream.Datasets, func(d Dataset) bool { return d.Name == name })
	}
	above := path.Dir(name)
	if above == "." {
		above = ""
	}
	switch {
	case len(x.stream.Datasets) >= x.options.MaxDatasets:
		return fmt.Errorf("there are more than %d datasets", x.options.MaxDatasets)
	case known(name):
		return fmt.Errorf("dataset %q comes twice", path.Join(x.top, name))
	case name != "" && !known(above):
		return fmt.Errorf("dataset %q comes before %q", path.Join(x.top, name), path.Join(x.top, above))
	}
	return nil
}

// objects stages the records of a substream up to its END (struct drr_end:
// checksum at 0, toguid 32). It tells how much content of files was among them.
func (x *extraction) objects(s *stage, guid uint64) (content int64, err error) {
	for {
		rec, err := x.read()
		if err != nil {
			return 0, err
		}
		if x.held += int64(len(rec.payload)); x.held > x.options.MaxBytes {
			return 0, x.faultf("there are more than %d bytes of content", x.options.MaxBytes)
		}
		written := int64(0)
		switch rec.kind {
		case object:
			err = s.add(rec)
		case write:
			written, err = s.write(rec)
		case spill:
			err = s.addSpill(rec)
		case free:
			err = s.rules.free(rec, &s.objects)
		case freeObjects:
			err = s.rules.freeObjects(rec, &s.objects)
		case end:
			if rec.u64(32) != guid { // drr_toguid
				return 0, x.faultf("it is of snapshot %#x, not %#x", rec.u64(32), guid)
			}
			return content, nil
		}
		if err != nil {
			return 0, x.fault(err)
		}
		content += written
	}
}

// place makes the staged tree where the dataset called name belongs. A child's
// place may be a directory of its parent's already, if nothing is in it.
func (x *extraction) place(t *tree, name string) error {
	if name != "" {
		if err := x.mount(name); err != nil {
			return err
		}
	}
	at, err := x.dir.Open(path.Join(".", name))
	if err != nil {
		return err
	}
	defer at.Close()
	root, err := t.place(at)
	x.roots = append(x.roots, root)
	return err
}

// mount makes the directory of a child. What is above it are the roots of
// datasets, so no part of the name is a link.
func (x *extraction) mount(name string) error {
	info, err := x.dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return x.dir.Mkdir(name, 0o700)
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("its parent has something else of its name")
	}
	there, err := fs.ReadDir(x.dir.FS(), name)
	if err == nil && len(there) > 0 {
		err = errors.New("its parent has files where it belongs")
	}
	return err
}

// finish gives the root of each dataset its owner, mode and times, the last
// first: by now nothing more is made in any.
func (x *extraction) finish() error {
	for i, d := range slices.Backward(x.stream.Datasets) {
		at, err := x.dir.Open(path.Join(".", d.Name))
		if err != nil {
			return err
		}
		err = x.left.finish(int(at.Fd()), ".", x.roots[i])
		if err = errors.Join(err, at.Close()); err != nil {
			return err
		}
	}
	return nil
}

// warn tells what was left out.
func (x *extraction) warn() {
	var lines []string
	for kind, count := range x.left {
		lines = append(lines, fmt.Sprintf("left out: %s (of %d files)", kind, count))
	}
	slices.Sort(lines)
	for _, l := range lines {
		x.options.Warn(l)
	}
}
