package zstream

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// contentName returns the file name in the stage for an object's content.
func contentName(number uint64) string { return strconv.FormatUint(number, 10) }

// writeBlock stores the block of a WRITE or WRITE_EMBEDDED record and returns how many
// bytes of file content it is. A range that no WRITE covers is never written, so it is a
// hole on disk too.
func (s *stage) writeBlock(rec *record) (content int64, err error) {
	b, err := parseBlock(rec)
	if err != nil {
		return 0, err
	}
	o, err := s.objects.find(b.object)
	if err == nil {
		err = s.rules.checkWrite(b, o, rec.typ == drrWriteEmbedded)
	}
	if err != nil {
		return 0, err
	}
	// A block that a kernel stores compressed must decompress, even if its content is
	// not used here: a kernel reads beyond the end of a truncated LZJB block
	// (module/zfs/lzjb.c, lzjb_decompress).
	data, err := s.decompressor.decompress(b.compression, b.data, int(b.logicalSize))
	if err != nil {
		return 0, objectError(b.object, err)
	}
	if o.typ.storage() == notStored {
		return 0, nil
	}
	if o.typ == typePlainFile {
		content = int64(b.length)
	}
	end := int64(b.offset + b.length)
	if o.storage != notStored {
		if err := s.writeContent(o, data, int64(b.offset)); err != nil {
			return 0, objectError(b.object, err)
		}
	}
	o.size, o.hasData = max(o.size, end), true
	return content, nil
}

// writeContent writes data to the content of an object, in the journal or in its file.
func (s *stage) writeContent(o *dnode, data []byte, offset int64) error {
	if o.storage == storedInJournal {
		k := s.extents[o.number]
		if k == nil {
			k = &extentList{}
			s.extents[o.number] = k
		}
		return k.write(s.journal, data, offset)
	}
	f, err := s.openContent(o)
	if err == nil {
		_, err = f.WriteAt(data, offset)
	}
	return err
}

// openContent opens the file of an object's content, and keeps it open until another
// object's is needed: WRITEs are sorted by object, so a substream opens each file once.
// The caller must not close it.
func (s *stage) openContent(o *dnode) (*os.File, error) {
	if s.openFile != nil && s.openNumber == o.number {
		return s.openFile, nil
	}
	if err := s.closeContent(); err != nil {
		return nil, err
	}
	name, flags := contentName(o.number), os.O_RDWR
	if !o.hasData {
		flags |= os.O_CREATE | os.O_EXCL
	} else if err := s.unshare(name); err != nil {
		return nil, err
	}
	f, err := s.files.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	s.openFile, s.openNumber = f, o.number
	return f, nil
}

// closeContent closes the file that openContent keeps open. It does nothing if there is
// none.
func (s *stage) closeContent() error {
	if s.openFile == nil {
		return nil
	}
	err := s.openFile.Close()
	s.openFile = nil
	return err
}

// removeContent removes the content of an object, which then is empty. It may be called
// for an object without content.
func (s *stage) removeContent(o *dnode) error {
	delete(s.extents, o.number)
	had := o.hasData && o.storage == storedInFile
	o.size, o.hasData = 0, false
	if !had {
		return nil
	}
	if s.openNumber == o.number {
		if err := s.closeContent(); err != nil {
			return err
		}
	}
	return s.files.Remove(contentName(o.number))
}

// freeRange applies a FREE record. Beyond the content there is nothing to free.
func (s *stage) freeRange(rec *record) error {
	number, from, to, err := s.rules.checkFree(rec)
	if err != nil {
		return err
	}
	o, err := s.objects.find(number)
	if err == nil {
		err = s.rules.notePartialFree(o, from, to)
	}
	if err != nil || from >= to || int64(from) >= o.size {
		return err
	}
	if err := s.punchHole(o, int64(from), min(int64(to), o.size)); err != nil {
		return objectError(number, err)
	}
	return nil
}

// punchHole frees a range of an object's content. A range up to the end truncates it.
func (s *stage) punchHole(o *dnode, from, to int64) error {
	if from == 0 && to == o.size {
		return s.removeContent(o)
	}
	switch o.storage {
	case storedInJournal:
		if k := s.extents[o.number]; k != nil {
			if k.punch(from, to); len(k.extents) > maxExtents {
				return errExtents
			}
		}
	case storedInFile:
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

// zeroRange overwrites the data in a range with zeros, for file systems that cannot
// punch holes. It skips existing holes, which may be of any size.
func zeroRange(f *os.File, from, to int64) error {
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
