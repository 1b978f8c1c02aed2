package zstream

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
)

// stage holds the objects of one dataset by number until their names are known: the
// content of files in a file each, everything else in a journal. It is the state of a
// received snapshot, so that the next increment can be applied to it.
type stage struct {
	dir   *os.Root // parent directory of the stage
	name  string   // name of the stage in dir
	files *os.Root // directory of the stage
	order byteOrder

	journal        *journal
	extents        map[uint64]*extentList // content in the journal, by object number
	objects        objset
	maxObjects     int64          // bound of objects
	withoutContent bool           // skip the content of files,
	contentReserve contentReserve // except within this reserve
	linked         bool           // content files may be linked from another stage
	buf            []byte         // for attributes

	rules        recordRules
	decompressor *decompressor
	openNumber   uint64   // object of openFile
	openFile     *os.File // nil if none is open
}

// newStage creates an empty stage in dir, which nobody else may access, with at most
// limit objects. If bare, it skips the content of files.
func newStage(dir *os.Root, o byteOrder, limit int64, bare bool) (*stage, error) {
	s := &stage{
		dir: dir, name: ".zstream-" + rand.Text(), order: o, extents: map[uint64]*extentList{},
		maxObjects: limit, withoutContent: bare, decompressor: &decompressor{},
	}
	if err := dir.Mkdir(s.name, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.files, err = dir.OpenRoot(s.name); err == nil {
		var f *os.File
		if f, err = s.files.OpenFile("journal", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			s.journal = newJournal(f)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// remove closes the stage and removes it with its files.
func (s *stage) remove() error {
	err := s.closeContent()
	s.decompressor.close()
	if s.journal != nil {
		err = errors.Join(err, s.journal.f.Close())
	}
	if s.files != nil {
		err = errors.Join(err, s.files.Close())
	}
	return errors.Join(err, s.dir.RemoveAll(s.name))
}

// begin prepares the stage for the records of a substream, whose order begins anew.
func (s *stage) begin(b beginRecord) {
	s.rules = recordRules{features: b.features, spillFlags: b.flags&beginSpills != 0, partlyFreed: map[uint64]uint64{}}
}

// record applies a record and returns how many bytes of file content it holds.
func (s *stage) record(rec *record) (content int64, err error) {
	switch rec.typ {
	case drrObject:
		return 0, s.addObject(rec)
	case drrWrite, drrWriteEmbedded:
		return s.writeBlock(rec)
	case drrSpill:
		return 0, s.addSpill(rec)
	case drrFree:
		return 0, s.freeRange(rec)
	case drrFreeObjects:
		from, to, err := s.rules.checkFreeObjects(rec)
		if err == nil {
			err = s.objects.remove(from, to, s.removeContent)
		}
		return 0, err
	}
	return 0, nil
}

// addObject applies an OBJECT record.
func (s *stage) addObject(rec *record) error {
	o, err := s.rules.checkObject(rec)
	if err != nil {
		return err
	}
	bonus := rec.payload[:o.bonusLen]
	if err := checkAccounting(s.order, o.bonusType, bonus); err != nil {
		return objectError(o.number, err)
	}
	o.storage = s.storageOf(&o, bonus)
	if before := s.objects.lastBefore(o.number); before != nil && before.number+uint64(before.slots) > o.number {
		return objectError(o.number, fmt.Errorf("it is within the dnode of object %d", before.number))
	}
	// A large dnode replaces the objects in its slots.
	if err := s.objects.remove(o.number+1, o.number+uint64(o.slots), s.removeContent); err != nil {
		return err
	}
	old := s.objects.lookup(o.number)
	if old != nil {
		if err := s.inheritObject(&o, old, rec); err != nil {
			return objectError(o.number, err)
		}
	} else if s.objects.count >= s.maxObjects {
		return objectError(o.number, fmt.Errorf("there are more than %d objects", s.maxObjects))
	}
	if (o.spillSize > 0 || rec.u8(27)&objectSpill != 0) && !o.fitsBesideSpill(len(bonus)) {
		return objectError(o.number, fmt.Errorf("%d bytes of attributes where a spill block leaves %d", len(bonus), o.maxBonusWithSpill()))
	}
	if o.bonusAt, err = s.journal.add(bonus); err != nil {
		return err
	}
	if old != nil {
		*old = o
	} else {
		s.objects.add(o)
	}
	return nil
}

// storageOf returns where the content of an object is kept. Extended attributes and
// symbolic links have the type of files; their attributes identify them.
func (s *stage) storageOf(o *dnode, bonus []byte) storage {
	h := o.typ.storage()
	if h != storedInFile {
		return h
	}
	is := readFileInfo(s.order, o.bonusType, bonus) // addObject has checked that the bonus has it
	switch old := s.objects.lookup(o.number); {
	case is.flags&flagXattr != 0 || is.isLink():
		return storedInJournal
	case !s.withoutContent:
		return storedInFile
	case old != nil && old.typ == typePlainFile && old.storage == notStored:
		return notStored // its earlier content was skipped and may not come again
	case s.contentReserve.reserve(is.size, o.blockSize):
		return storedInJournal
	}
	return notStored
}

// addSpill applies a SPILL record. It ignores an unmodified spill block, which is sent
// for receivers that do not know the flag in OBJECT.
func (s *stage) addSpill(rec *record) error {
	o, err := s.objects.find(rec.u64(0))
	if err == nil {
		err = s.rules.checkSpill(rec, o)
	}
	if err != nil {
		return err
	}
	if s.rules.spillFlags && rec.u8(24)&spillUnmodified != 0 && o.spillSize != 0 {
		return nil
	}
	o.spillSize = uint32(len(rec.payload))
	o.spillAt, err = s.journal.add(rec.payload)
	return err
}

// zap returns an object as a ZAP. It returns an error if the object has another type or
// no content.
func (s *stage) zap(number uint64, want objectType) (zap, error) {
	o, err := s.objects.findType(number, want)
	if err != nil {
		return zap{}, err
	}
	if !o.hasData {
		return zap{}, objectError(number, errors.New("nothing was written to it"))
	}
	return zap{data: s.content(o), size: o.size, block: int64(o.blockSize), order: s.order}, nil
}

// content returns a reader of an object's content in the journal. It has o.size bytes,
// of which ranges that were never written are zero.
func (s *stage) content(o *dnode) io.ReaderAt {
	k := s.extents[o.number]
	if k == nil {
		k = &extentList{}
	}
	return extentReader{s.journal, k, o.size}
}

// attributes reads the bonus and the spill block of o into buf, which must have room for
// both: maxBonus and maxSpill bytes always do.
func (s *stage) attributes(o *dnode, buf []byte) (bonus, spill []byte, err error) {
	bonus, spill = buf[:o.bonusLen], buf[o.bonusLen:][:o.spillSize]
	for _, part := range []struct {
		p  []byte
		at int64
	}{{bonus, o.bonusAt}, {spill, o.spillAt}} {
		if len(part.p) == 0 {
			continue
		}
		if _, err := s.journal.ReadAt(part.p, part.at); err != nil {
			return nil, nil, unexpectedEOF(err)
		}
	}
	return bonus, spill, nil
}
