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

// Extract reads the stream r and creates its trees in dir, which must be empty: the top
// dataset in dir, each other dataset in the directory of its name below, as of the last
// of its snapshots. After an error dir is empty again. Extract touches nothing outside
// dir and follows no links. Memory use depends on the number of objects, not on content.
//
// Extract omits file flags, access control lists and extended attributes outside the
// user namespace, and, without root, owners and devices. It reports omissions to
// Options.Warn.
func Extract(ctx context.Context, r io.Reader, dir *os.Root, o Options) (*Stream, error) {
	switch there, err := fs.ReadDir(dir.FS(), "."); {
	case err != nil:
		return nil, err
	case len(there) > 0:
		return nil, fmt.Errorf("%s is not empty", dir.Name())
	}
	x := &extractor{dir: dir, omitted: omissions{}}
	x.snapshotStore = &snapshotStore{dir: dir, options: o.withDefaults()}
	s, err := x.run(ctx, r)
	if err != nil {
		return nil, errors.Join(err, x.remove(), removeEntries(dir))
	}
	x.warnOmissions()
	return s, nil
}

// removeEntries removes everything in dir, also below directories that their own mode
// closes to their owner.
func removeEntries(dir *os.Root) error {
	if os.Geteuid() != 0 { // the mode of a directory may forbid it
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

// extractor extracts one stream.
type extractor struct {
	*snapshotStore
	dir     *os.Root
	roots   []datasetRoot // top directories of the datasets; their metadata is set last
	omitted omissions
}

// datasetRoot is the top directory of a dataset.
type datasetRoot struct {
	name   string
	znode  *znode
	xattrs []Xattr
}

// run reads the whole stream, then creates the trees. No file gets its name before every
// checksum is verified.
func (x *extractor) run(ctx context.Context, r io.Reader) (*Stream, error) {
	read, err := x.read(ctx, r)
	if err != nil {
		return nil, err
	}
	err = x.eachDataset(read, func(d *Dataset, files *zpl) error {
		return x.extractDataset(&tree{zpl: files, ctx: ctx, omitted: x.omitted}, d.Name)
	})
	if err == nil {
		err = x.remove()
	}
	if err == nil {
		err = x.setRootMetadata()
	}
	return read.stream, err
}

// extractDataset creates the staged tree of the dataset called name. Its directory may
// exist in its parent if it is empty.
func (x *extractor) extractDataset(t *tree, name string) error {
	if name != "" {
		if err := x.makeMountpoint(name); err != nil {
			return err
		}
	}
	at, err := x.dir.Open(path.Join(".", name))
	if err != nil {
		return err
	}
	defer at.Close()
	n, err := t.extract(at)
	if err != nil {
		return err
	}
	list, err := t.xattrs(n)
	x.roots = append(x.roots, datasetRoot{name, n, list})
	return err
}

// makeMountpoint creates the directory of a child dataset. The directories above it are
// roots of datasets, so no component of the name is a link.
func (x *extractor) makeMountpoint(name string) error {
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

// setRootMetadata sets owner, mode and times of each dataset's root, the last dataset
// first: nothing is created below any of them after this.
func (x *extractor) setRootMetadata() error {
	for _, r := range slices.Backward(x.roots) {
		at, err := x.dir.Open(path.Join(".", r.name))
		if err != nil {
			return err
		}
		err = x.omitted.setMetadata(int(at.Fd()), ".", r.znode, r.xattrs)
		if err = errors.Join(err, at.Close()); err != nil {
			return err
		}
	}
	return nil
}

// warnOmissions calls Options.Warn with a line for each kind of omission, sorted.
func (x *extractor) warnOmissions() {
	var lines []string
	for kind, count := range x.omitted {
		lines = append(lines, fmt.Sprintf("left out: %s (of %d files)", kind, count))
	}
	slices.Sort(lines)
	for _, l := range lines {
		x.options.Warn(l)
	}
}
