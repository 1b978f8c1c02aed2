package zstream

import "errors"

// inheritObject gives o, just announced, what the object of its number has from the
// snapshot before, if that may be the same file: the stream has only what has
// changed since. If it may not, it begins anew (OpenZFS module/zfs/dmu_recv.c,
// receive_object and receive_handle_existing_object).
func (s *stage) inheritObject(o, old *dnode, rec *record) error {
	keep, err := s.keepsContent(o, old, rec.payload[:o.bonusLen])
	if err != nil {
		return err
	}
	spill := rec.u8(27)&objectSpill != 0
	if !s.rules.spillFlags { // it does not tell: what is changed in any way has lost it
		spill = o.typ == old.typ && o.blockSize == old.blockSize && o.bonusType == old.bonusType && o.bonusLen == old.bonusLen
	}
	if spill && o.slots == old.slots {
		o.spillSize, o.spillAt = old.spillSize, old.spillAt
	}
	if !keep {
		return s.removeContent(old)
	}
	o.size, o.hasData = old.size, old.hasData
	return nil
}

// keepsContent tells whether what is there of old is to be kept for o.
func (s *stage) keepsContent(o, old *dnode, bonus []byte) (bool, error) {
	switch {
	case o.slots != old.slots, o.storage != old.storage:
		return false, nil
	case o.blockSize == old.blockSize:
		return true, nil
	case o.typ != typePlainFile || old.typ != typePlainFile, old.size <= int64(old.blockSize):
		return false, nil
	}
	// Files of several blocks whose size is another: either the stream before was
	// sent without large blocks, or the number was given to another file.
	if s.buf == nil {
		s.buf = make([]byte, maxBonus+maxSpill)
	}
	was, _, err := s.attributes(old, s.buf)
	if err != nil {
		return false, err
	}
	before, now := readFileInfo(s.order, old.bonusType, was), readFileInfo(s.order, o.bonusType, bonus)
	if before.generation != now.generation {
		return false, nil
	}
	if o.blockSize < old.blockSize {
		return false, errors.New("its blocks are smaller than they were: the stream before had large blocks, and this has not")
	}
	o.blockSize = old.blockSize
	return true, nil
}

// fileInfo is what can be seen of a file without the layouts of attributes, which
// may be still to come: all layouts begin with the same (include/sys/zfs_sa.h,
// SA_GEN_OFFSET and SA_FLAGS_OFFSET, which zpl_get_file_info relies on too).
type fileInfo struct{ mode, size, generation, flags uint64 }

// isLink tells whether it is a symbolic one.
func (g fileInfo) isLink() bool { return g.mode&0o170000 == 0o120000 }

// readFileInfo reads it from what is accountable.
func readFileInfo(o byteOrder, typ objectType, bonus []byte) fileInfo {
	if typ == typeZnode {
		return fileInfo{o.u64(bonus[72:]), o.u64(bonus[80:]), o.u64(bonus[64:]), o.u64(bonus[120:])}
	}
	at := int(o.u16(bonus[4:])>>10) * 8 // SA_HDR_SIZE
	return fileInfo{o.u64(bonus[at:]), o.u64(bonus[at+8:]), o.u64(bonus[at+16:]), o.u64(bonus[at+saFlagsOffset:])}
}
