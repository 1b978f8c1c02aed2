package zstream

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
)

// journal is a file that is only added to: what is read again when the order of
// the stream is of no more use, attributes, directories and other ZAPs, targets of
// links, values of extended attributes.
type journal struct {
	f       *os.File
	pending *bufio.Writer // to f
	end     int64
	flushed int64
	content int64 // of end, what objects hold: keep's limit
}

// maxExtents bounds those of an object. One has as many blocks at most: ZAPs of a
// gigabyte, of 16 KiB each.
const maxExtents = maxJournalContent / (16 << 10)

var errExtents = fmt.Errorf("what it holds is in more than %d parts", maxExtents)

// maxJournalContent bounds the content of objects in a journal, in bytes. A name in a
// directory takes some 100.
const maxJournalContent = 1 << 30

func newJournal(f *os.File) *journal {
	return &journal{f: f, pending: bufio.NewWriterSize(f, 64<<10)}
}

// add appends p, and tells where it begins.
func (j *journal) add(p []byte) (at int64, err error) {
	at = j.end
	n, err := j.pending.Write(p)
	j.end += int64(n)
	return at, err
}

// ReadAt reads what was added.
func (j *journal) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > j.flushed {
		if err := j.pending.Flush(); err != nil {
			return 0, err
		}
		j.flushed = j.end
	}
	return j.f.ReadAt(p, at)
}

// extent is a part of an object's content, and where it stands in the journal.
type extent struct{ offset, at, size int64 }

func (e extent) end() int64 { return e.offset + e.size }

// extentList is the content of an object in a journal: extents that do not overlap, in
// their order. What is between them is zero.
type extentList struct{ extents []extent }

// write adds p at offset, in the place of what was there.
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

// firstAfter is the index of the first extent that begins beyond offset.
func (k *extentList) firstAfter(offset int64) int {
	return sort.Search(len(k.extents), func(i int) bool { return k.extents[i].offset > offset })
}

// punch makes zeros of what is from one offset up to another.
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

// extentReader reads the content of an object, of that size.
type extentReader struct {
	journal *journal
	extents *extentList
	size    int64
}

// ReadAt is io.ReaderAt's.
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
