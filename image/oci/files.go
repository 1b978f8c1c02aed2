package oci

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// files are the files of a source on disk, by path.
type files interface {
	// open opens a regular file and returns its size in bytes.
	open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// dirFiles are files in a directory, which no link leads out of.
type dirFiles struct{ root *os.Root }

func (d dirFiles) Close() error { return d.root.Close() }

func (d dirFiles) open(name string) (io.ReadCloser, int64, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a fifo
	if err != nil {
		return nil, 0, missing(name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: is not a regular file", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// missing returns the error for a file that cannot be opened, in words for a person.
func missing(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, errAbsent)
	}
	return fmt.Errorf("%s: %w", name, errors.Unwrap(err))
}

// errAbsent reports that a source does not have a file.
var errAbsent = errors.New("the image does not have it")

// Bounds of an archive: its entries, and links that lead to one.
const (
	maxArchiveEntries = 10_000
	maxArchiveLinks   = 8
)

// tarFiles are files in a tar archive, which is read in place.
type tarFiles struct {
	f     *os.File
	index map[string]member
}

// member is where a file is in an archive.
type member struct {
	at, size int64
	link     string // path of the file that it stands for; "" if it is one itself
	special  bool
}

func (t *tarFiles) Close() error { return t.f.Close() }

// openArchive opens a tar archive, plain or compressed with gzip, zstd or xz. A compressed one is
// decompressed into an unnamed file in the spool, of at most most bytes.
func openArchive(ctx context.Context, name, spool string, most int64) (*tarFiles, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	f, err = spooled(ctx, f, spool, most)
	if err != nil {
		return nil, err
	}
	t := &tarFiles{f: f, index: map[string]member{}}
	if err := t.readIndex(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

// spooled returns f if it is a plain file, or else its content, decompressed, in a file without
// a name. It closes f after an error, and if it is not the result.
func spooled(ctx context.Context, f *os.File, spool string, most int64) (_ *os.File, err error) {
	plain, closePlain, err := decompress(bufio.NewReaderSize(f, readAhead))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	defer closePlain()
	info, err := f.Stat()
	if _, same := plain.(*bufio.Reader); same && err == nil && info.Mode().IsRegular() {
		_, err = f.Seek(0, io.SeekStart)
		return f, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	to, err := os.CreateTemp(spool, "oci-*")
	if err != nil {
		return nil, err
	}
	err = os.Remove(to.Name())
	if err == nil {
		_, err = io.Copy(to, &bounded{ctx: ctx, r: plain, left: &most})
	}
	if err == nil {
		_, err = to.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	return to, nil
}

// readIndex reads the headers of the archive. Of two entries with the same path the later wins,
// as with tar(1).
func (t *tarFiles) readIndex(ctx context.Context) error {
	r := tar.NewReader(t.f)
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return errors.New("it is an empty archive")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && n == 0:
			return errors.New("it is no tar archive")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the archive is cut off")
		case err != nil:
			return fmt.Errorf("entry %d: %w", n, err)
		case n >= maxArchiveEntries:
			return fmt.Errorf("there are more than %d entries", maxArchiveEntries)
		}
		at, err := t.f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		m := member{at: at, size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeSymlink:
			m.link = path.Join(path.Dir(path.Clean(h.Name)), h.Linkname)
		case tar.TypeLink:
			m.link = path.Clean(h.Linkname)
		case tar.TypeDir:
			continue
		default: // a sparse file is not in one piece
			m.special = true
		}
		t.index[path.Clean(h.Name)] = m
	}
}

func (t *tarFiles) open(name string) (io.ReadCloser, int64, error) {
	at := path.Clean(name)
	for range maxArchiveLinks {
		m, there := t.index[at]
		switch {
		case !there:
			return nil, 0, fmt.Errorf("%s: %w", name, errAbsent)
		case m.special:
			return nil, 0, fmt.Errorf("%s: is not a regular file", name)
		case m.link == "":
			return io.NopCloser(io.NewSectionReader(t.f, m.at, m.size)), m.size, nil
		}
		at = m.link
	}
	return nil, 0, fmt.Errorf("%s: more than %d links", name, maxArchiveLinks)
}
