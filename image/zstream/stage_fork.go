package zstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// fork returns a copy of the stage. The copies share a file of content, by hard links,
// until either changes it.
func (s *stage) fork() (*stage, error) {
	n, err := newStage(s.dir, s.order, s.maxObjects, s.withoutContent)
	if err != nil {
		return nil, err
	}
	s.linked, n.linked = true, true
	n.contentReserve = s.contentReserve
	if err := n.copyFrom(s); err != nil {
		return nil, errors.Join(err, n.remove())
	}
	return n, nil
}

// copyFrom fills an empty stage with the state of s.
func (n *stage) copyFrom(s *stage) error {
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
	for number, k := range s.extents {
		n.extents[number] = &extentList{slices.Clone(k.extents)}
	}
	return s.objects.each(func(o *dnode) error {
		n.objects.add(*o)
		if !o.hasData || o.storage != storedInFile {
			return nil
		}
		name := contentName(o.number)
		return s.dir.Link(s.name+"/"+name, n.name+"/"+name)
	})
}

// unshare replaces a content file that another stage links to by a copy, before it is
// changed. The link count shows whether one does.
func (s *stage) unshare(name string) (err error) {
	if !s.linked {
		return nil
	}
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
