package zstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// contentName is the file of an object's content, in the stage.
func contentName(number uint64) string { return strconv.FormatUint(number, 10) }

// write takes a WRITE or a WRITE_EMBEDDED record. It tells how much of a file's
// content that was. What is between two WRITEs is never written, and so is a hole
// on disk too.
func (s *stage) write(rec *record) (content int64, err error) {
	b, err := blockOf(rec)
	if err != nil {
		return 0, err
	}
	o, err := s.objects.find(b.object)
	if err == nil {
		err = s.rules.write(b, o, rec.kind == writeEmbedded)
	}
	if err != nil || o.typ.home() == nowhere {
		return 0, err
	}
	if o.typ == typePlainFile {
		content = int64(b.length)
	}
	end := int64(b.offset + b.length)
	if o.home != nowhere {
		data, err := s.unpack.unpack(b.compression, b.packed, int(b.size))
		if err == nil && b.size < b.length {
			data = append(data[:len(data):len(data)], make([]byte, b.length-b.size)...)
		}
		if err == nil {
			err = s.put(o, data, int64(b.offset))
		}
		if err != nil {
			return 0, objectError(b.object, err)
		}
	}
	o.size, o.data = max(o.size, end), true
	return content, nil
}

// put writes to the content of an object, where that is.
func (s *stage) put(o *staged, data []byte, offset int64) error {
	if o.home == inJournal {
		k := s.kept[o.number]
		if k == nil {
			k = &kept{}
			s.kept[o.number] = k
		}
		return k.put(s.journal, data, offset)
	}
	f, err := s.openContent(o)
	if err == nil {
		_, err = f.WriteAt(data, offset)
	}
	return err
}

// openContent opens the file of an object's content. WRITEs are sorted: in one
// substream it is opened once.
func (s *stage) openContent(o *staged) (*os.File, error) {
	if s.file != nil && s.open == o.number {
		return s.file, nil
	}
	if err := s.closeContent(); err != nil {
		return nil, err
	}
	name, flags := contentName(o.number), os.O_RDWR
	if !o.data {
		flags |= os.O_CREATE | os.O_EXCL
	} else if err := s.unshare(name); err != nil {
		return nil, err
	}
	f, err := s.files.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	s.file, s.open = f, o.number
	return f, nil
}

// closeContent closes what put has open.
func (s *stage) closeContent() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// empty takes the content of an object away.
func (s *stage) empty(o *staged) error {
	delete(s.kept, o.number)
	had := o.data && o.home == inFile
	o.size, o.data = 0, false
	if !had {
		return nil
	}
	if s.open == o.number {
		if err := s.closeContent(); err != nil {
			return err
		}
	}
	return s.files.Remove(contentName(o.number))
}

// free takes a FREE record.
func (s *stage) free(rec *record) error {
	number, from, to, err := s.rules.free(rec)
	if err != nil {
		return err
	}
	o, err := s.objects.find(number)
	if err != nil || from >= to || int64(from) >= o.size {
		return err
	}
	if err := s.cut(o, int64(from), min(int64(to), o.size)); err != nil {
		return objectError(number, err)
	}
	return nil
}

// cut makes a hole in what an object holds; one up to the end makes it shorter.
func (s *stage) cut(o *staged, from, to int64) error {
	if from == 0 && to == o.size {
		return s.empty(o)
	}
	switch o.home {
	case inJournal:
		if k := s.kept[o.number]; k != nil {
			k.cut(from, to)
		}
	case inFile:
		f, err := s.openContent(o)
		if err == nil && to == o.size {
			err = f.Truncate(from)
		} else if err == nil {
			err = punch(f, from, to)
		}
		if err != nil {
			return err
		}
	}
	if to == o.size {
		o.size = from
	}
	return nil
}

// zero writes zeros where there is data from one offset up to another: the way to
// a hole where the file system knows no other. What is a hole already, which may
// be of any size, is not written to.
func zero(f *os.File, from, to int64) error {
	zeros := make([]byte, 64<<10)
	for from < to {
		data, err := f.Seek(from, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && data >= to {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := f.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		for from, end = data, min(end, to); from < end; {
			n, err := f.WriteAt(zeros[:min(int64(len(zeros)), end-from)], from)
			if err != nil {
				return err
			}
			from += int64(n)
		}
	}
	return nil
}

// fork makes another stage in the same place with what is in this one. Files are
// in both until one of them changes.
func (s *stage) fork() (*stage, error) {
	n, err := newStage(s.dir, s.order, s.limit, s.bare)
	if err != nil {
		return nil, err
	}
	n.keep = s.keep
	fill := func() error {
		// What was read last is not written yet.
		if _, err := s.journal.ReadAt(nil, s.journal.end); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := s.journal.pending.Flush(); err != nil {
			return err
		}
		size, err := io.Copy(n.journal.f, io.NewSectionReader(s.journal.f, 0, s.journal.end))
		if err == nil && size != s.journal.end {
			err = fmt.Errorf("internal error: %d of %d bytes of a journal", size, s.journal.end)
		}
		if err != nil {
			return err
		}
		n.journal.end, n.journal.flushed, n.journal.content = size, size, s.journal.content
		for number, k := range s.kept {
			n.kept[number] = &kept{append([]extent(nil), k.extents...)}
		}
		return s.objects.each(func(o *staged) error {
			n.objects.add(*o)
			if !o.data || o.home != inFile {
				return nil
			}
			name := contentName(o.number)
			return s.dir.Link(s.name+"/"+name, n.name+"/"+name)
		})
	}
	if err := fill(); err != nil {
		return nil, errors.Join(err, n.remove())
	}
	return n, nil
}

// unshare gives the stage a file of its own, where it may be in another too.
func (s *stage) unshare(name string) (err error) {
	from, err := s.files.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil || st.Nlink == 1 {
		return err
	}
	to, err := s.files.OpenFile(name+".own", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	return s.files.Rename(name+".own", name)
}
