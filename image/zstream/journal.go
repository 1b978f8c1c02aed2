package zstream

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
)

// journal is an append-only file for staged data that is parsed later, in another order
// than the stream's: attributes, directories and other ZAPs, targets of links, values of
// extended attributes.
type journal struct {
	f       *os.File
	pending *bufio.Writer // buffers writes to f
	end     int64
	flushed int64
	content int64 // bytes of object content in it
}

// maxExtents bounds the extents of an object. It has at most as many as blocks: a ZAP of
// a gigabyte has blocks of 16 KiB.
const maxExtents = maxJournalContent / (16 << 10)

var errExtents = fmt.Errorf("what it holds is in more than %d parts", maxExtents)

// maxJournalContent bounds the content of objects in a journal, in bytes. A directory
// entry takes about 100.
const maxJournalContent = 1 << 30

// newJournal returns a journal in f, which must be empty and open for reading and
// writing.
func newJournal(f *os.File) *journal {
	return &journal{f: f, pending: bufio.NewWriterSize(f, 64<<10)}
}

// add appends p and returns its offset.
func (j *journal) add(p []byte) (at int64, err error) {
	at = j.end
	n, err := j.pending.Write(p)
	j.end += int64(n)
	return at, err
}

// ReadAt implements io.ReaderAt. It flushes buffered writes first if it needs them.
func (j *journal) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > j.flushed {
		if err := j.pending.Flush(); err != nil {
			return 0, err
		}
		j.flushed = j.end
	}
	return j.f.ReadAt(p, at)
}

// extent maps a range of an object's content to an offset in the journal.
type extent struct{ offset, at, size int64 }

func (e extent) end() int64 { return e.offset + e.size }

// extentList is the content of an object in a journal: extents in order, without
// overlap. Gaps are zero.
type extentList struct{ extents []extent }

// write stores p at offset, in place of earlier content there. The journal keeps the
// earlier bytes too: its bound counts every write.
func (k *extentList) write(j *journal, p []byte, offset int64) error {
	if j.content += int64(len(p)); j.content > maxJournalContent {
		return fmt.Errorf("there are more than %d bytes of directories and the like", maxJournalContent)
	}
	at, err := j.add(p)
	if err != nil {
		return err
	}
	x := extent{offset, at, int64(len(p))}
	k.punch(x.offset, x.end())
	i := k.firstAfter(x.offset)
	if i > 0 {
		if last := &k.extents[i-1]; last.end() == x.offset && last.at+last.size == x.at {
			last.size += x.size
			return nil
		}
	}
	if len(k.extents) >= maxExtents {
		return errExtents
	}
	k.extents = slices.Insert(k.extents, i, x)
	return nil
}

// firstAfter returns the index of the first extent that begins beyond offset.
func (k *extentList) firstAfter(offset int64) int {
	return sort.Search(len(k.extents), func(i int) bool { return k.extents[i].offset > offset })
}

// punch makes a range a hole: it removes and cuts extents. A hole inside an extent makes
// two of it.
func (k *extentList) punch(from, to int64) {
	first := k.firstAfter(from)
	if first > 0 && k.extents[first-1].end() > from {
		first--
	}
	last := first
	var rest []extent
	for ; last < len(k.extents) && k.extents[last].offset < to; last++ {
		x := k.extents[last]
		if x.offset < from {
			rest = append(rest, extent{x.offset, x.at, from - x.offset})
		}
		if x.end() > to {
			rest = append(rest, extent{to, x.at + to - x.offset, x.end() - to})
		}
	}
	k.extents = slices.Replace(k.extents, first, last, rest...)
}

// extentReader reads an object's content of the given size.
type extentReader struct {
	journal *journal
	extents *extentList
	size    int64
}

// ReadAt implements io.ReaderAt.
func (r extentReader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset >= r.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), r.size-offset))
	clear(p[:n])
	for i := max(r.extents.firstAfter(offset)-1, 0); i < len(r.extents.extents); i++ {
		x := r.extents.extents[i]
		from, to := max(x.offset, offset), min(x.end(), offset+int64(n))
		if x.offset >= offset+int64(n) {
			break
		}
		if from >= to {
			continue
		}
		if _, err := r.journal.ReadAt(p[from-offset:to-offset], x.at+from-x.offset); err != nil {
			return 0, unexpectedEOF(err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
