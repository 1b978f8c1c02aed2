package zstream

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// TarOptions are options of ReadTar.
type TarOptions struct {
	// Spool is the directory of an unnamed temporary file that keeps the contents,
	// without all-zero blocks, until Files.Close. "" means os.TempDir().
	Spool string

	// Missing is the modification time of directories that the archive does not have.
	Missing time.Time

	MaxBytes    int64 // of all contents, with holes; 0 means DefaultMaxBytes
	MaxEntries  int   // of the archive, and files in the tree; 0 means no bound but the tree's
	MaxMetadata int64 // bytes of all names, targets of links and extended headers; 0 means no bound
}

// ReadTar reads all of the tar archive r as a tree from its root. Of two entries with
// the same path the later wins. ReadTar omits what not every receiver supports and lists
// it in Files.Warnings. It returns an error for an archive that is cut off, even between
// two entries, and for a path with "..".
func ReadTar(ctx context.Context, r io.Reader, o TarOptions) (*Files, error) {
	a, err := newTarReader(o)
	if err != nil {
		return nil, err
	}
	a.ctx = ctx
	if err := a.readAll(r); err != nil {
		return nil, errors.Join(err, a.spool.Close())
	}
	return a.Files, a.spool.w.Flush()
}

// newTarReader returns a reader into a tree that has only a root.
func newTarReader(o TarOptions) (*tarReader, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	spool, err := newSpool(o.Spool)
	if err != nil {
		return nil, err
	}
	dir := file{mode: unix.S_IFDIR | 0o755}
	dir.setTime(o.Missing)
	a := &tarReader{treeBuilder: newTreeBuilder(spool, dir), spool: spool, bytesLeft: o.MaxBytes, limits: o}
	if o.MaxEntries > 0 {
		a.maxFiles = min(o.MaxEntries, maxFiles)
	}
	a.files[0] = dir
	return a, nil
}

// tarReader reads archives.
type tarReader struct {
	*treeBuilder
	ctx       context.Context
	spool     *spool
	bytesLeft int64 // remaining bytes of MaxBytes
	limits    TarOptions
	entries   int
	metadata  int64
}

// readAll reads all of an archive.
func (a *tarReader) readAll(r io.Reader) error {
	if err := a.readEntries(r); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r) // read the padding, and let r verify its end
	return err
}

// count counts an entry against the limits.
func (a *tarReader) count(h *tar.Header) error {
	a.entries++
	a.metadata += int64(len(h.Name) + len(h.Linkname))
	for key, value := range h.PAXRecords {
		a.metadata += int64(len(key) + len(value))
	}
	switch {
	case a.limits.MaxEntries > 0 && a.entries > a.limits.MaxEntries:
		return fmt.Errorf("there are more than %d entries", a.limits.MaxEntries)
	case a.limits.MaxMetadata > 0 && a.metadata > a.limits.MaxMetadata:
		return fmt.Errorf("names and attributes have more than %d bytes", a.limits.MaxMetadata)
	}
	return nil
}

// readEntries reads all entries.
func (a *tarReader) readEntries(from io.Reader) error {
	counted := &tarInput{r: from}
	r := tar.NewReader(counted)
	for n := 0; ; n++ {
		if a.ctx.Err() != nil {
			return context.Cause(a.ctx)
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if err = counted.checkEnd(); err == nil || a.layer != nil && counted.n > 0 {
				return nil
			}
		}
		if err = counted.explain(err); errors.Is(err, errNoTar) {
			return err
		}
		if err != nil {
			return fmt.Errorf("tar: entry %d: %w", n, err)
		}
		if err := a.addEntry(h, r); err != nil {
			return fmt.Errorf("tar: entry %d: %.300q: %w", n, h.Name, counted.explain(err))
		}
	}
}

// addEntry adds an entry to the tree.
func (a *tarReader) addEntry(h *tar.Header, r io.Reader) error {
	kind, known := map[byte]uint32{
		tar.TypeReg: unix.S_IFREG, tar.TypeGNUSparse: unix.S_IFREG, tar.TypeCont: unix.S_IFREG,
		tar.TypeDir: unix.S_IFDIR, tar.TypeSymlink: unix.S_IFLNK, tar.TypeFifo: unix.S_IFIFO,
		tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK,
	}[h.Typeflag]
	if err := a.count(h); err != nil || h.Typeflag == tar.TypeXGlobalHeader {
		return err
	}
	if a.layer != nil {
		if done, err := a.whiteout(h); done || err != nil {
			return err
		}
	}
	switch {
	case h.Typeflag == tar.TypeLink:
		return a.hardLink(h)
	case !known:
		a.omit(omitSpecial)
		return nil
	}
	f := file{mode: kind | uint32(h.Mode)&0o7777}
	f.setTime(h.ModTime)
	for owner, id := range map[*uint32]int{&f.uid: h.Uid, &f.gid: h.Gid} {
		if id < 0 || int64(id) >= 1<<32-1 {
			return fmt.Errorf("no owner has the number %d", id)
		}
		*owner = uint32(id)
	}
	switch kind {
	case unix.S_IFREG:
		f.size = h.Size
		if a.bytesLeft -= h.Size; h.Size < 0 || a.bytesLeft < 0 {
			return fmt.Errorf("%d bytes: there is more than Options allow", h.Size)
		}
	case unix.S_IFLNK:
		if f.target = h.Linkname; f.target == "" || len(f.target) >= maxTarget || strings.Contains(f.target, "\x00") {
			return fmt.Errorf("a link to a path of %d bytes, or with NUL in it", len(f.target))
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		f.rdev = uint64(uint32(h.Devmajor))<<32 | uint64(uint32(h.Devminor))
	}
	if err := a.addPAXAttributes(&f, h.PAXRecords); err != nil {
		return err
	}
	i, err := a.put(h.Name, f)
	if err == nil && f.size > 0 {
		err = a.spool.add(a.ctx, int(i), f.size, r)
	}
	return err
}

// hardLink adds a further name of an earlier file. It refuses links to directories, and
// to files that come later or not at all.
func (a *tarReader) hardLink(h *tar.Header) error {
	i, err := a.findPath(h.Linkname)
	if err != nil {
		return err
	}
	if a.files[i].isDir() {
		return fmt.Errorf("it is a link to %.300q, a directory", h.Linkname)
	}
	dir, base, err := a.parent(h.Name)
	if err == nil && base != "" {
		err = a.claim(dir, base, false)
	}
	switch old, there := a.find(dir, base); {
	case err != nil:
		return err
	case base == "" || there && a.files[old].isDir():
		return errors.New("it is a directory already")
	}
	return a.setName(dir, base, i)
}

// spool is a contentSource that keeps contents in a file that has been unlinked.
type spool struct {
	f    *os.File
	w    *bufio.Writer // to f
	end  int64         // bytes written to w
	runs map[int][]run // by file
}

// run is a part of a file without holes.
type run struct {
	offset int64 // in the file
	at     int64 // in the spool
	size   int64
}

// newSpool returns an empty spool in dir, which takes no space after a crash.
func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "zstream-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spool{f: f, w: bufio.NewWriterSize(f, readAhead), runs: map[int][]run{}}, nil
}

// Close frees the space.
func (s *spool) Close() error { return s.f.Close() }

// add stores the content of file i, size bytes of r, except all-zero blocks.
func (s *spool) add(ctx context.Context, i int, size int64, r io.Reader) error {
	buf := make([]byte, min(size, recordSize))
	var runs []run
	for at := int64(0); at < size; at += recordSize {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := buf[:min(recordSize, size-at)]
		if _, err := io.ReadFull(r, p); err != nil {
			return unexpectedEOF(err)
		}
		if allZero(p) {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].offset+runs[n-1].size == at {
			runs[n-1].size += int64(len(p))
		} else {
			runs = append(runs, run{at, s.end, int64(len(p))})
		}
		if _, err := s.w.Write(p); err != nil {
			return err
		}
		s.end += int64(len(p))
	}
	s.runs[i] = runs
	return nil
}

// eachBlock reads the stored content. Runs begin at block boundaries.
func (s *spool) eachBlock(i int, _ int64, f func(int64, []byte) error) error {
	for _, r := range s.runs[i] {
		part := io.NewSectionReader(s.f, r.at, r.size)
		err := eachBlockOf(part, r.size, nil, func(offset int64, block []byte) error {
			return f(r.offset+offset, block)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
