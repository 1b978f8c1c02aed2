package zstream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Files is a tree of files to write: names and attributes in memory, and a source of
// contents. NewFiles, ReadDir and ReadTar create one; the caller must close it after the
// last Write. It is not safe for concurrent use.
type Files struct {
	files    []file // files[0] is the root
	contents contentSource
	sums     [][16]byte // hashes of the contents, by file; zero for a file without content
	omitted  omissions

	order    []uint32 // files in the order of writing
	position []uint32 // index in order, by file
	sum      [sha256.Size]byte
	bytes    int64 // of blocks that are not all zeros
}

// contentSource reads the contents of a tree's files, by file index.
type contentSource interface {
	// eachBlock calls f with every block of recordSize of file i that is not all zeros,
	// in order. The last may be shorter. It returns an error if the file does not have
	// the given size.
	eachBlock(i int, size int64, f func(offset int64, block []byte) error) error

	io.Closer
}

// recordSize is the default of the property recordsize, which every receiver supports.
const recordSize = oldMaxBlock

// file is a file of any type in the tree.
type file struct {
	names  []name // of a directory, sorted by prepare
	name   string // its first name in order, in parent
	target string // of a symbolic link
	xattrs []byte // packed list; nil if none
	size   int64  // of a regular file
	rdev   uint64 // major above minor, of 32 bits each
	sec    int64
	nsec   int32
	mode   uint32 // st_mode, with the type
	uid    uint32
	gid    uint32
	parent uint32
	links  uint32 // names, or 2 and the subdirectories of a directory
}

// name is a directory entry: a name and a file index.
type name struct {
	name string
	file uint32
}

func (f *file) kind() uint32   { return f.mode & unix.S_IFMT }
func (f *file) isDir() bool    { return f.kind() == unix.S_IFDIR }
func (f *file) isDevice() bool { return f.kind() == unix.S_IFCHR || f.kind() == unix.S_IFBLK }

// setTime sets the modification time.
func (f *file) setTime(t time.Time) { f.sec, f.nsec = t.Unix(), int32(t.Nanosecond()) }

// NewFiles returns a tree of directories and small files in memory, owned by root. The
// map has contents by path, "conf/pot.conf"; a path that ends in / is an empty
// directory.
func NewFiles(small map[string]string, modified time.Time) (*Files, error) {
	data := inMemory{}
	dir := file{mode: unix.S_IFDIR | 0o755}
	dir.setTime(modified)
	t := newTreeBuilder(data, dir)
	t.files[0] = dir
	for _, path := range slices.Sorted(maps.Keys(small)) {
		f := file{mode: unix.S_IFREG | 0o644, size: int64(len(small[path]))}
		if strings.HasSuffix(path, "/") {
			f = dir
		}
		f.setTime(modified)
		i, err := t.put(path, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		data[int(i)] = small[path]
	}
	return t.Files, nil
}

// newFiles returns a tree that has only a root, at index 0.
func newFiles(c contentSource) *Files {
	return &Files{files: []file{{mode: unix.S_IFDIR | 0o755}}, contents: c, omitted: omissions{}}
}

// Close releases the source of the contents.
func (t *Files) Close() error { return t.contents.Close() }

// SetOwner sets the owner and group of all files, for a tree that was created without
// root.
func (t *Files) SetOwner(uid, gid uint32) {
	for i := range t.files {
		t.files[i].uid, t.files[i].gid = uid, gid
	}
	t.order = nil
}

// maxFiles bounds a tree: file indexes, and the memory for each file.
const maxFiles = 16 << 20

// link adds a name for file i to the directory dir.
func (t *Files) link(dir uint32, base string, i uint32) error {
	if err := checkName(base, maxName); err != nil {
		return err
	}
	if !t.files[dir].isDir() {
		return errors.New("what it is in is no directory")
	}
	t.files[dir].names = append(t.files[dir].names, name{base, i})
	return nil
}

// omit counts an omission.
func (t *Files) omit(what string) { t.omitted[what]++ }

// Warnings returns what was omitted from the input: a line for each kind, with a count.
func (t *Files) Warnings() (lines []string) { return t.omitted.lines() }

// lines returns the omissions as sorted lines.
func (left omissions) lines() (lines []string) {
	for kind, count := range left {
		lines = append(lines, fmt.Sprintf("left out: %s (of %d files)", kind, count))
	}
	slices.Sort(lines)
	return lines
}

// prepare completes a tree: it orders the files, hashes them with their contents, and
// counts the bytes to write. It does nothing for a tree that is complete.
func (t *Files) prepare(ctx context.Context) error {
	if t.order != nil {
		return nil
	}
	t.position = make([]uint32, len(t.files))
	for i := range t.files {
		if f := &t.files[i]; f.isDir() {
			f.links = 2
			slices.SortFunc(f.names, func(a, b name) int { return cmp.Compare(a.name, b.name) })
			for j := range f.names[min(1, len(f.names)):] {
				if f.names[j].name == f.names[j+1].name {
					return fmt.Errorf("%.300q is there twice", f.names[j].name)
				}
			}
		} else {
			f.links = 0
		}
	}
	t.order = []uint32{0}
	err := t.orderFiles(0, 0)
	if err == nil {
		err = t.hashTree(ctx)
	}
	if err != nil {
		t.order = nil
	}
	return err
}

// orderFiles appends the files below a directory in the order of their paths; a file
// with several names is at its first.
func (t *Files) orderFiles(dir uint32, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%.300q: more than %d directories deep", t.path(dir), maxDepth)
	}
	for _, n := range t.files[dir].names {
		f := &t.files[n.file]
		if t.position[n.file] == 0 {
			t.position[n.file] = uint32(len(t.order))
			t.order = append(t.order, n.file)
			f.name, f.parent = n.name, dir
		}
		if !f.isDir() {
			f.links++
			continue
		}
		t.files[dir].links++
		if err := t.orderFiles(n.file, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// path returns a file's path, for messages and for opening it.
func (t *Files) path(i uint32) string {
	if i == 0 {
		return "."
	}
	var parts []string
	for ; i != 0; i = t.files[i].parent {
		parts = append(parts, t.files[i].name)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// hashTree hashes everything that is written, and counts the bytes of content.
func (t *Files) hashTree(ctx context.Context) error {
	h := sha256.New()
	t.bytes, t.sums = 0, make([][16]byte, len(t.files))
	for _, i := range t.order {
		f := &t.files[i]
		if f.kind() == unix.S_IFREG && f.size > 0 {
			err := t.eachBlock(ctx, i, func(int64, []byte) error { return nil })
			if err != nil {
				return err
			}
		}
		f.hashMetadata(h, t.position)
		h.Write(t.sums[i][:])
	}
	h.Sum(t.sum[:0])
	return nil
}

// hashMetadata writes a file's metadata to h; each part has a fixed length or is
// preceded by its length.
func (f *file) hashMetadata(h hash.Hash, at []uint32) {
	var p []byte
	le := binary.LittleEndian
	for _, v := range []uint64{
		uint64(f.mode), uint64(f.uid), uint64(f.gid), uint64(f.size), f.rdev, uint64(f.sec),
		uint64(f.nsec), uint64(f.links), uint64(len(f.target)), uint64(len(f.xattrs)), uint64(len(f.names)),
	} {
		p = le.AppendUint64(p, v)
	}
	p = append(append(p, f.target...), f.xattrs...)
	for _, n := range f.names {
		p = le.AppendUint64(p, uint64(at[n.file]))
		p = le.AppendUint64(p, uint64(len(n.name)))
		p = append(p, n.name...)
	}
	h.Write(p)
}

// errModified reports that the input changed during the write.
var errModified = errors.New("it changed while it was read")

// eachBlock calls f with the blocks of file i. The first call hashes them; a later call
// returns an error if the hash differs.
func (t *Files) eachBlock(ctx context.Context, i uint32, f func(offset int64, block []byte) error) error {
	h := sha256.New()
	var at [8]byte
	n := int64(0)
	err := t.contents.eachBlock(int(i), t.files[i].size, func(offset int64, block []byte) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		binary.LittleEndian.PutUint64(at[:], uint64(offset))
		h.Write(at[:])
		h.Write(block)
		n += int64(len(block))
		return f(offset, block)
	})
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	switch known := &t.sums[i]; {
	case err != nil:
	case *known == [16]byte{}:
		*known = [16]byte(sum[:])
		t.bytes += n
	case *known != [16]byte(sum[:]):
		err = errModified
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.path(i), err)
	}
	return nil
}

// inMemory is a contentSource of strings.
type inMemory map[int]string

// Close implements io.Closer.
func (m inMemory) Close() error { return nil }

// eachBlock implements contentSource.eachBlock.
func (m inMemory) eachBlock(i int, size int64, f func(int64, []byte) error) error {
	return eachBlockOf(strings.NewReader(m[i]), size, nil, f)
}
