package zstream

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
)

// stage keeps the objects of one dataset, by number, until it is known what
// they are called: what files will have in a file each, all else in a journal. It
// is what a snapshot was when it had been received, so that the next, which is
// incremental, can be read on top of it.
type stage struct {
	dir   *os.Root // where it is
	name  string   // of the stage in it
	files *os.Root // the stage itself
	order byteOrder

	journal        *journal
	extents        map[uint64]*extentList // content in the journal, by object
	objects        objset
	maxObjects     int64          // on objects
	withoutContent bool           // the content of files is passed over,
	contentReserve contentReserve // but for these
	linked         bool           // files may be in another stage too
	buf            []byte

	rules        recordRules
	decompressor *decompressor
	openNumber   uint64   // the object whose content is open
	openFile     *os.File // nil: none is
}

// newStage makes an empty stage in dir, which nobody else looks into.
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

// remove takes the stage away with what is still in it.
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

// begin readies the stage for the records of a substream.
func (s *stage) begin(b beginRecord) {
	s.rules = recordRules{features: b.features, spillFlags: b.flags&beginSpills != 0, partlyFreed: map[uint64]uint64{}}
}

// record takes one of them. It tells how much of files' content that was.
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

// addObject takes an OBJECT record.
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
	// A dnode may take the places of objects that were.
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

// storageOf is where the content of an object goes. What is no file's, though it is
// of their type, is told by its attributes: values of extended attributes, and
// targets of links.
func (s *stage) storageOf(o *dnode, bonus []byte) storage {
	h := o.typ.storage()
	if h != storedInFile {
		return h
	}
	is := readFileInfo(s.order, o.bonusType, bonus) // the rules have seen that files have it
	switch old := s.objects.lookup(o.number); {
	case is.flags&flagXattr != 0 || is.isLink():
		return storedInJournal
	case !s.withoutContent:
		return storedInFile
	case old != nil && old.typ == typePlainFile && old.storage == notStored:
		return notStored // what it had before is not known, and may not come again
	case s.contentReserve.reserve(is.size, o.blockSize):
		return storedInJournal
	}
	return notStored
}

// addSpill takes a SPILL record. One that says it was not changed is for
// receivers that do not know of the flag in OBJECT.
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

// zap is an object as a ZAP.
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

// content reads what an object holds, of those in the journal.
func (s *stage) content(o *dnode) io.ReaderAt {
	k := s.extents[o.number]
	if k == nil {
		k = &extentList{}
	}
	return extentReader{s.journal, k, o.size}
}

// attributes reads the bonus and the spill block of o, which lie in one buffer.
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
