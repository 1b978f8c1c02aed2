package zstream

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strconv"
)

// stage keeps the objects of one dataset, by number, until it is known what
// they are called: contents in a file each, attributes in one for all.
type stage struct {
	dir     *os.Root // of the trees
	name    string   // of the stage in it
	files   *os.Root // the stage itself
	attrs   *os.File
	pending *bufio.Writer // to attrs
	attrEnd int64

	objects objects
	rules   rules
	open    uint64   // the object whose content is open
	content *os.File // nil: none is
}

// newStage makes an empty stage in dir, which nobody else looks into.
func newStage(dir *os.Root, r rules) (*stage, error) {
	s := &stage{dir: dir, name: ".zstream-" + rand.Text(), rules: r}
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
	s.pending = bufio.NewWriterSize(s.attrs, 64<<10)
	return s, nil
}

// remove takes the stage away with what is still in it.
func (s *stage) remove() error {
	err := s.closeContent()
	if s.attrs != nil {
		err = errors.Join(err, s.attrs.Close())
	}
	if s.files != nil {
		err = errors.Join(err, s.files.Close())
	}
	return errors.Join(err, s.dir.RemoveAll(s.name))
}

// flush readies the stage for being read.
func (s *stage) flush() error {
	return errors.Join(s.closeContent(), s.pending.Flush())
}

// closeContent closes what write has open.
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

// add takes an OBJECT record.
func (s *stage) add(rec *record) error {
	o, err := s.rules.object(rec, &s.objects)
	if err != nil {
		return err
	}
	o.attrs = s.attrEnd
	if o.bonus > 0 {
		if err := s.keep(rec.payload[:o.bonus]); err != nil {
			return err
		}
	}
	s.objects.add(o)
	return nil
}

// keep puts attributes into the file.
func (s *stage) keep(buf []byte) error {
	n, err := s.pending.Write(buf)
	s.attrEnd += int64(n)
	return err
}

// addSpill takes a SPILL record.
func (s *stage) addSpill(rec *record) error {
	o, err := s.rules.spill(rec, &s.objects)
	if err != nil {
		return err
	}
	o.spillAt, o.spill = s.attrEnd, uint32(len(rec.payload))
	return s.keep(rec.payload)
}

// write takes a WRITE record. It tells how much of a file's content that was.
// What is between two WRITEs is never written, and so is a hole on disk too.
func (s *stage) write(rec *record) (content int64, err error) {
	o, err := s.rules.write(rec, &s.objects)
	if err != nil || !o.typ.staged() {
		return 0, err
	}
	if s.content == nil || s.open != o.number {
		if err := s.openContent(o); err != nil {
			return 0, err
		}
	}
	offset := int64(rec.u64(16))
	if _, err := s.content.WriteAt(rec.payload, offset); err != nil {
		return 0, err
	}
	o.size = offset + int64(len(rec.payload))
	if o.typ == typePlainFile {
		content = int64(len(rec.payload))
	}
	return content, nil
}

// openContent makes the file of an object's content. WRITEs are sorted: it is
// made once, and not opened again.
func (s *stage) openContent(o *staged) error {
	if err := s.closeContent(); err != nil {
		return err
	}
	f, err := s.files.OpenFile(contentName(o.number), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.content, s.open, o.data = f, o.number, true
	return nil
}

// zap is an object as a ZAP; done must be called when it has been read.
func (s *stage) zap(number uint64, want objectType) (z zap, done func() error, err error) {
	o, err := s.objects.ofType(number, want)
	if err != nil {
		return zap{}, nil, err
	}
	f, err := s.files.Open(contentName(number))
	if errors.Is(err, os.ErrNotExist) {
		err = errors.New("nothing was written to it")
	}
	if err != nil {
		return zap{}, nil, objectError(number, err)
	}
	return zap{data: f, size: o.size, block: int64(o.block)}, f.Close, nil
}

// attributes reads the bonus and the spill block of o, which lie in one buffer.
func (s *stage) attributes(o *staged, buf []byte) (bonus, spill []byte, err error) {
	bonus, spill = buf[:o.bonus], buf[o.bonus:][:o.spill]
	if _, err = s.attrs.ReadAt(bonus, o.attrs); err == nil || errors.Is(err, io.EOF) {
		_, err = s.attrs.ReadAt(spill, o.spillAt)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return bonus, spill, err
}
