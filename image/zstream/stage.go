package zstream

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Types of objects, dmu_object_type_t (dmu.h), that a file system's tree is made
// of.
const (
	typeNone      = 0
	typePlainFile = 19
	typeDirectory = 20
	typeMaster    = 21
	typeSA        = 44
)

// staged is one object of a dataset. All of it that can be large is on disk.
type staged struct {
	typ   uint32
	block int64  // bytes
	size  int64  // up to the last byte that was written
	bonus extent // the attributes
	spill extent // more of them
	data  bool   // there is a file of its content
}

// extent is a piece of the attribute file.
type extent struct {
	at  int64
	len uint16
}

// stage keeps the objects of one dataset, by number, until it is known what
// they are called: contents in a file each, attributes in one for all.
type stage struct {
	dir     *os.Root // of the trees
	name    string   // of the stage in it
	files   *os.Root // the stage itself
	attrs   *os.File
	attrEnd int64

	objects map[uint64]*staged
	current uint64   // whose content is open
	content *os.File // nil: none is
}

// newStage makes an empty stage in dir, which nobody else looks into.
func newStage(dir *os.Root) (*stage, error) {
	s := &stage{dir: dir, name: ".zstream-" + rand.Text(), objects: map[uint64]*staged{}}
	if err := dir.Mkdir(s.name, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.files, err = dir.OpenRoot(s.name); err == nil {
		s.attrs, err = s.files.OpenFile("attributes", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// remove takes the stage away with what is still in it.
func (s *stage) remove() error {
	var errs []error
	errs = append(errs, s.closeContent())
	if s.attrs != nil {
		errs = append(errs, s.attrs.Close())
	}
	if s.files != nil {
		errs = append(errs, s.files.Close())
	}
	return errors.Join(append(errs, s.dir.RemoveAll(s.name))...)
}

func (s *stage) closeContent() error {
	if s.content == nil {
		return nil
	}
	err := s.content.Close()
	s.content = nil
	return err
}

// contentName is the file of an object's content, in the stage.
func contentName(number uint64) string { return strconv.FormatUint(number, 10) }

// find is an object that must be there.
func (s *stage) find(number uint64) (*staged, error) {
	o := s.objects[number]
	if o == nil {
		return nil, fmt.Errorf("object %d was not announced", number)
	}
	return o, nil
}

// add takes an OBJECT record (struct drr_object).
func (s *stage) add(rec *record, limit int64) error {
	number := rec.u64(0)
	o := &staged{typ: rec.u32(8), block: int64(rec.u32(16))}
	slots := max(int(rec.body[26]), 1) // drr_dn_slots, of 512 bytes
	// What a dnode has left for its bonus (DN_SLOTS_TO_BONUSLEN, dnode.h).
	if room := slots*512 - 192; len(rec.payload) > room {
		return fmt.Errorf("object %d: a bonus of %d bytes in a dnode with room for %d", number, len(rec.payload), room)
	}
	switch {
	case number == 0 || number >= 1<<48: // DN_MAX_OBJECT
		return fmt.Errorf("object %d: no such number", number)
	case s.objects[number] != nil:
		return fmt.Errorf("object %d is announced twice", number)
	case int64(len(s.objects)) >= limit:
		return fmt.Errorf("more than %d objects", limit)
	case rec.u32(12) != typeSA && (o.typ == typePlainFile || o.typ == typeDirectory):
		return fmt.Errorf("object %d: attributes of type %d (ZPL before version 5) are not supported yet", number, rec.u32(12))
	}
	if rec.u32(12) == typeSA {
		var err error
		if o.bonus, err = s.keep(rec.payload[:rec.u32(20)]); err != nil {
			return err
		}
	}
	s.objects[number] = o
	return nil
}

// keep puts attributes into the file.
func (s *stage) keep(buf []byte) (extent, error) {
	if len(buf) > 0xffff {
		buf = buf[:0xffff]
	}
	e := extent{s.attrEnd, uint16(len(buf))}
	n, err := s.attrs.WriteAt(buf, s.attrEnd)
	s.attrEnd += int64(n)
	return e, err
}

// addSpill takes a SPILL record (struct drr_spill).
func (s *stage) addSpill(rec *record) error {
	o, err := s.find(rec.u64(0))
	if err != nil {
		return err
	}
	if o.spill.len != 0 {
		return fmt.Errorf("object %d has two spill blocks", rec.u64(0))
	}
	o.spill, err = s.keep(rec.payload)
	return err
}

// write takes a WRITE record (struct drr_write).
func (s *stage) write(rec *record) error {
	number, offset := rec.u64(0), int64(rec.u64(16))
	o, err := s.find(number)
	if err != nil {
		return err
	}
	end := offset + int64(len(rec.payload))
	if offset < 0 || end < offset {
		return fmt.Errorf("object %d: nothing can be at offset %d", number, uint64(offset))
	}
	if s.content == nil || s.current != number {
		if err := s.openContent(number, o); err != nil {
			return err
		}
	}
	if _, err := s.content.WriteAt(rec.payload, offset); err != nil {
		return fmt.Errorf("object %d: %w", number, err)
	}
	o.size = max(o.size, end)
	return nil
}

func (s *stage) openContent(number uint64, o *staged) error {
	if err := s.closeContent(); err != nil {
		return err
	}
	flag := os.O_WRONLY
	if !o.data {
		flag |= os.O_CREATE | os.O_EXCL
	}
	f, err := s.files.OpenFile(contentName(number), flag, 0o600)
	if err != nil {
		return err
	}
	s.content, s.current, o.data = f, number, true
	return nil
}

// free takes a FREE record (struct drr_free): a hole, which a full stream names
// only where nothing was written.
func (s *stage) free(rec *record) error {
	o, err := s.find(rec.u64(0))
	if err != nil {
		return err
	}
	if offset := rec.u64(8); offset < uint64(o.size) && rec.u64(16) != 0 {
		return fmt.Errorf("object %d: offset %d is freed after it was written: no full stream", rec.u64(0), offset)
	}
	return nil
}

// freeObjects takes a FREEOBJECTS record (struct drr_freeobjects).
func (s *stage) freeObjects(rec *record) error {
	first, count := rec.u64(0), rec.u64(8)
	if count < uint64(len(s.objects)) {
		for n := first; n < first+count; n++ {
			if s.objects[n] != nil {
				return fmt.Errorf("object %d is freed after it was announced: no full stream", n)
			}
		}
		return nil
	}
	for n := range s.objects {
		if n >= first && n-first < count {
			return fmt.Errorf("object %d is freed after it was announced: no full stream", n)
		}
	}
	return nil
}

// zap is an object as a ZAP; done must be called when it has been read.
func (s *stage) zap(number uint64) (z zap, done func() error, err error) {
	o, err := s.find(number)
	if err != nil {
		return zap{}, nil, err
	}
	if !o.data {
		return zap{}, nil, fmt.Errorf("object %d is no ZAP: it is empty", number)
	}
	f, err := s.files.Open(contentName(number))
	if err != nil {
		return zap{}, nil, err
	}
	return zap{data: f, size: o.size, block: o.block}, f.Close, nil
}

// attributes reads what an extent holds, into buf.
func (s *stage) attributes(e extent, buf []byte) ([]byte, error) {
	buf = buf[:e.len]
	_, err := s.attrs.ReadAt(buf, e.at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf, err
}
