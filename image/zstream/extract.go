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
	x := &extraction{dir: dir, left: omissions{}}
	x.library = &library{dir: dir, options: o.withDefaults()}
	s, err := x.run(ctx, r)
	if err != nil {
		return nil, errors.Join(err, x.remove(), empty(dir))
	}
	x.warn()
	return s, nil
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
	*library
	dir   *os.Root
	roots []root // of the datasets, which their directories become at the end
	left  omissions
}

// root is the top directory of a dataset.
type root struct {
	name   string
	node   *node
	xattrs []Xattr
}

// run reads all of the stream, then makes the trees. Nothing has a name in them
// before every checksum was seen to hold.
func (x *extraction) run(ctx context.Context, r io.Reader) (*Stream, error) {
	read, err := x.read(ctx, r)
	if err != nil {
		return nil, err
	}
	err = x.each(read, func(d *Dataset, files *files) error {
		return x.place(&tree{files: files, ctx: ctx, left: x.left}, d.Name)
	})
	if err == nil {
		err = x.remove()
	}
	if err == nil {
		err = x.finish()
	}
	return read.stream, err
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
	n, err := t.place(at)
	if err != nil {
		return err
	}
	list, err := t.xattrs(n)
	x.roots = append(x.roots, root{name, n, list})
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
	for _, r := range slices.Backward(x.roots) {
		at, err := x.dir.Open(path.Join(".", r.name))
		if err != nil {
			return err
		}
		err = x.left.finish(int(at.Fd()), ".", r.node, r.xattrs)
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
