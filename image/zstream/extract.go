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
// the top dataset in dir itself, each other in the directory of its name below,
// as it was at the last of its snapshots. After an error dir is empty again.
// Nothing outside dir is touched, and no link followed. Memory is for what is known
// of each object, not for content.
//
// File flags, access control lists, and extended attributes of other namespaces
// than user are left out; so are owners and devices without root. Options.Warn is
// told.
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

// removeEntries removes all that is in dir.
func removeEntries(dir *os.Root) error {
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

// extractor is a stream being extracted.
type extractor struct {
	*snapshotStore
	dir     *os.Root
	roots   []datasetRoot // of the datasets, which their directories become at the end
	omitted omissions
}

// datasetRoot is the top directory of a dataset.
type datasetRoot struct {
	name   string
	znode  *znode
	xattrs []Xattr
}

// run reads all of the stream, then makes the trees. Nothing has a name in them
// before every checksum was seen to hold.
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

// extractDataset makes the staged tree where the dataset called name belongs. A child's
// place may be a directory of its parent's already, if nothing is in it.
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

// makeMountpoint makes the directory of a child. What is above it are the roots of
// datasets, so no part of the name is a link.
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

// setRootMetadata gives the root of each dataset its owner, mode and times, the last
// first: by now nothing more is made in any.
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

// warnOmissions tells what was left out.
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
