package zstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// directoryFiles is the content of the files in a directory.
type directoryFiles struct {
	dir   *os.Root
	files *Files // for their paths
}

// ReadDir reads the names and attributes of everything in dir. The contents must not
// change until the stream is written. dir stays open, and Files.Close does not close it.
// ReadDir follows no links.
//
// It omits what not every receiver supports, and lists it in Files.Warnings: file flags,
// access control lists, extended attributes outside the user namespace.
func ReadDir(ctx context.Context, dir *os.Root) (*Files, error) {
	src := &directoryFiles{dir: dir}
	t := newFiles(src)
	src.files = t
	s := &dirScanner{ctx: ctx, dir: dir, Files: t, seen: map[inode]uint32{}}
	info, err := dir.Lstat(".")
	if err == nil {
		t.files[0], err = s.newFile(".", info)
	}
	if err == nil {
		err = s.readDir(0, ".", 0)
	}
	return t, err
}

// dirScanner reads a directory tree.
type dirScanner struct {
	*Files
	ctx  context.Context
	dir  *os.Root
	seen map[inode]uint32 // files with several links

	list  [64 << 10]byte // for names of extended attributes
	value [maxXattr + 1]byte
}

// inode identifies a file: two names with the same one are hard links.
type inode struct{ dev, ino uint64 }

// readDir adds the entries of the directory at, in order of name.
func (s *dirScanner) readDir(i uint32, at string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: more than %d directories deep", at, maxDepth)
	}
	d, err := s.dir.Open(at)
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	slices.Sort(names)
	s.files[i].names = make([]name, 0, len(names))
	for _, base := range names {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		if err := s.addName(i, base, path.Join(at, base), depth); err != nil {
			return err
		}
	}
	return nil
}

// addName adds one entry, and everything below it.
func (s *dirScanner) addName(dir uint32, base, at string, depth int) error {
	info, err := s.dir.Lstat(at)
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	key := inode{uint64(st.Dev), uint64(st.Ino)}
	if i, known := s.seen[key]; known {
		return s.link(dir, base, i)
	}
	f, err := s.newFile(at, info)
	if err != nil {
		return err
	}
	if len(s.files) >= maxFiles {
		return fmt.Errorf("there are more than %d files", maxFiles)
	}
	i := uint32(len(s.files))
	s.files = append(s.files, f)
	if err := s.link(dir, base, i); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if f.isDir() {
		return s.readDir(i, at, depth+1)
	}
	if st.Nlink > 1 {
		s.seen[key] = i
	}
	return nil
}

// newFile returns the file at a path, without its names and links.
func (s *dirScanner) newFile(at string, info fs.FileInfo) (f file, err error) {
	st := info.Sys().(*syscall.Stat_t)
	f = file{mode: uint32(st.Mode), uid: st.Uid, gid: st.Gid}
	f.setTime(info.ModTime())
	switch f.kind() {
	case unix.S_IFDIR, unix.S_IFIFO, unix.S_IFSOCK:
	case unix.S_IFREG:
		f.size = info.Size()
	case unix.S_IFCHR, unix.S_IFBLK:
		dev := uint64(st.Rdev)
		f.rdev = uint64(unix.Major(dev))<<32 | uint64(unix.Minor(dev))
	case unix.S_IFLNK:
		if f.target, err = s.dir.Readlink(at); err == nil && len(f.target) >= maxTarget {
			err = fmt.Errorf("%s: a link to a path of %d bytes, %d or more", at, len(f.target), maxTarget)
		}
	default:
		err = fmt.Errorf("%s: there is no file of mode %o", at, f.mode)
	}
	if err != nil {
		return f, err
	}
	if hasFlags(st) {
		s.omit(omitFlags)
	}
	xattrs, err := s.readXattrs(filepath.Join(s.dir.Name(), at))
	s.setXattrs(&f, xattrs)
	return f, err
}

// Close implements io.Closer. The directory is the caller's.
func (d *directoryFiles) Close() error { return nil }

// seekData and seekHole are SEEK_DATA and SEEK_HOLE of lseek(2), which Linux and
// FreeBSD number alike.
const (
	seekData = 3
	seekHole = 4
)

// eachBlock implements contentSource.eachBlock. It does not read holes.
func (d *directoryFiles) eachBlock(i int, size int64, each func(int64, []byte) error) error {
	// If a fifo has replaced the file, opening it must not wait for a writer.
	f, err := d.dir.OpenFile(d.files.path(uint32(i)), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != size {
		return errModified
	}
	return eachBlockOf(f, size, func(from int64) (start, end int64, err error) {
		if start, err = f.Seek(from, seekData); errors.Is(err, unix.ENXIO) {
			return size, size, nil
		}
		if err == nil {
			end, err = f.Seek(start, seekHole)
		}
		if err != nil { // the file system does not report holes: read everything
			return from, size, nil
		}
		return start, end, nil
	}, each)
}
