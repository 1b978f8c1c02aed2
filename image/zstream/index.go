package zstream

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is a name in the trees of a stream, and the file that it names.
type Entry struct {
	Dataset string // Dataset.Name
	Path    string // in the dataset, separated by slashes; "." is its root
	Object  uint64 // object number: FreeBSD's inode number

	Mode     fs.FileMode
	UID, GID uint32
	Size     int64  // bytes; of a directory, the number of names with . and ..
	Links    uint64 // number of names; of a directory, as stat(2) counts
	Hardlink string // Path of the first name, if this is a further name of the file

	Accessed, Modified, Changed, Created time.Time

	Target       string // of a symbolic link
	Major, Minor uint32 // of a device
	Flags        Flags
	ACL          []ACE   // nil if it is equivalent to the mode
	Xattrs       []Xattr // by namespace and name
	Content      []byte  // of a regular file that Options.Content selects; else nil
}

// Index reads the stream r and calls visit with every name in it, without creating
// files: dataset by dataset in the stream's order, a directory before its entries. It
// calls visit only after it has read the whole stream and verified every checksum. It
// skips the content of files, except what Options.Content selects. An error of visit
// ends Index and is returned.
//
// Until it returns, Index keeps directories and attributes in a new directory of
// Options.Scratch. It needs as much memory as Extract.
func Index(ctx context.Context, r io.Reader, o Options, visit func(Entry) error) (s *Stream, err error) {
	scratch, err := os.MkdirTemp(o.Scratch, "zstream-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	dir, err := os.OpenRoot(scratch)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	l := &snapshotStore{dir: dir, withoutContent: true, options: o.withDefaults()}
	defer func() { err = errors.Join(err, l.remove()) }()
	x, err := l.read(ctx, r)
	if err != nil {
		return nil, err
	}
	err = l.eachDataset(x, func(d *Dataset, files *zpl) error {
		w := &walker{zpl: files, ctx: ctx, dataset: d.Name, visit: visit, filter: o.Content, firstNames: map[uint64]firstName{}, seed: maphash.MakeSeed()}
		return w.visitRoot()
	})
	if err != nil {
		return nil, err
	}
	return x.stream, nil
}

// walker visits the files of a dataset.
type walker struct {
	*zpl
	ctx        context.Context
	dataset    string
	visit      func(Entry) error
	filter     *ContentFilter
	firstNames map[uint64]firstName // of files with several names, by object
	seed       maphash.Seed
}

// firstName is the first name of a file. It is not stored as a path: there may be many,
// and long ones.
type firstName struct {
	dir  *dirPath
	name string
}

// dirPath is a directory and its parents; nil is the root.
type dirPath struct {
	parent   *dirPath
	name     string
	object   uint64
	declared dirCounts
}

// path returns the path of a name in the directory.
func (a *dirPath) path(name string) string {
	for ; a != nil; a = a.parent {
		name = a.name + "/" + name
	}
	return name
}

// visitRoot visits the root and everything below. If w.forMount, it also checks what a
// mounting kernel relies on.
func (w *walker) visitRoot() error {
	n, err := w.rootDir()
	if err != nil {
		return err
	}
	e, err := w.newEntry(w.root, n)
	if err != nil {
		return fmt.Errorf("the root: %w", err)
	}
	e.Path = "."
	if err := w.visit(e); err != nil {
		return err
	}
	if w.forMount {
		if err := n.checkDir(w.root); err != nil {
			return fmt.Errorf("the root: %w", err)
		}
	}
	return w.visitDir(nil, w.root, dirCounts{n.links, n.size}, 0)
}

// visitDir visits the entries of a directory, then its subdirectories. says are the
// links and size in the directory's attributes. It refuses two entries of one name; to
// save memory, it compares hashes with a random seed.
func (w *walker) visitDir(dir *dirPath, object uint64, says dirCounts, depth int) error {
	name := func() string { return "/" + strings.TrimSuffix(dir.path(""), "/") }
	if depth > maxDepth {
		return fmt.Errorf("%q: more than %d directories deep", name(), maxDepth)
	}
	z, err := w.stage.zap(object, typeDirectory)
	if err != nil {
		return fmt.Errorf("directory %q: %w", name(), err)
	}
	var below []*dirPath
	prefix, seen := dir.path(""), map[uint64]bool{}
	err = z.each(func(e zapAttribute) error {
		sum := maphash.Bytes(w.seed, e.name)
		if seen[sum] {
			return fmt.Errorf("%q: the directory has two of that name", e.name)
		}
		seen[sum] = true
		sub, err := w.visitEntry(dir, object, prefix, e)
		if sub != nil {
			below = append(below, sub)
		}
		return err
	})
	if err == nil && w.forMount {
		err = says.check(int64(len(below)), int64(len(seen)))
	}
	if err != nil {
		return fmt.Errorf("directory %q: %w", name(), err)
	}
	for _, sub := range below {
		if err := w.visitDir(sub, sub.object, sub.declared, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// visitEntry visits the file that an entry of dir names; in is the object of dir. It
// returns the file if that is a directory.
func (w *walker) visitEntry(dir *dirPath, in uint64, prefix string, e zapAttribute) (sub *dirPath, err error) {
	if w.ctx.Err() != nil {
		return nil, context.Cause(w.ctx)
	}
	name := string(e.name)
	if err := checkName(name, maxKey-1); err != nil {
		return nil, err
	}
	o, n, err := w.resolveEntry(e)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	found, err := w.newEntry(o.number, n)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	found.Path = prefix + name
	if found.Content, err = w.filteredContent(found.Path, o, n); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	if f, again := w.firstNames[o.number]; again {
		found.Hardlink = f.dir.path(f.name)
	} else if n.links > 1 && n.fileType() != unix.S_IFDIR {
		w.firstNames[o.number] = firstName{dir, name}
	}
	if n.fileType() == unix.S_IFDIR {
		sub = &dirPath{dir, name, o.number, dirCounts{n.links, n.size}}
		if w.forMount {
			if err := n.checkDir(in); err != nil {
				return nil, fmt.Errorf("%q: %w", name, err)
			}
		}
	}
	return sub, w.visit(found)
}

// newEntry returns the Entry for a znode, without Path, Hardlink and Content.
func (w *walker) newEntry(object uint64, n *znode) (e Entry, err error) {
	e = Entry{
		Dataset: w.dataset, Object: object, Mode: fileMode(n.mode), UID: n.uid, GID: n.gid, Size: n.size, Links: n.links,
		Accessed: timeOf(n.atime), Modified: timeOf(n.mtime), Changed: timeOf(n.ctime), Created: timeOf(n.crtime),
		Flags: Flags(n.flags),
	}
	switch {
	case n.fileType() == unix.S_IFLNK:
		e.Target, err = n.target()
	case n.isDevice():
		e.Major, e.Minor = uint32(n.rdev>>32), uint32(n.rdev)
	case n.fileType() == unix.S_IFREG, n.fileType() == unix.S_IFDIR, n.fileType() == unix.S_IFIFO, n.fileType() == unix.S_IFSOCK:
	default:
		err = fmt.Errorf("there is no file of mode %o", n.mode)
	}
	if err == nil {
		e.ACL, err = w.acl(n)
	}
	if err == nil {
		e.Xattrs, err = w.xattrs(n)
	}
	if err != nil {
		err = objectError(object, err)
	}
	return e, err
}

// fileMode converts st_mode to io/fs's mode.
func fileMode(st uint32) fs.FileMode {
	m := fs.FileMode(st & 0o777)
	switch st & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	for bit, mode := range map[uint32]fs.FileMode{
		unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky,
	} {
		if st&bit != 0 {
			m |= mode
		}
	}
	return m
}
