package zstream

import (
	"errors"
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
	if err != nil {
		return 0, err
	}
	// What a kernel keeps compressed is looked at before it has it, of whatever use
	// it is here: it reads beyond what is there of an LZJB block that is cut
	// (module/zfs/lzjb.c, lzjb_decompress).
	data, err := s.unpack.unpack(b.compression, b.packed, int(b.size))
	if err != nil {
		return 0, objectError(b.object, err)
	}
	if o.typ.home() == nowhere {
		return 0, nil
	}
	if o.typ == typePlainFile {
		content = int64(b.length)
	}
	end := int64(b.offset + b.length)
	if o.home != nowhere {
		if err := s.put(o, data, int64(b.offset)); err != nil {
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
	if err == nil {
		err = s.rules.tear(o, from, to)
	}
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
			if k.cut(from, to); len(k.extents) > maxExtents {
				return errParts
			}
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
