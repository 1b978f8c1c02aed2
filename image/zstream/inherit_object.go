package zstream

import "errors"

// inheritObject gives o, from an OBJECT record, what the object of its number had in the
// previous snapshot if both may be the same file: an increment holds changed blocks
// only. Otherwise the object begins empty (OpenZFS module/zfs/dmu_recv.c, receive_object
// and receive_handle_existing_object).
func (s *stage) inheritObject(o, old *dnode, rec *record) error {
	keep, err := s.keepsContent(o, old, rec.payload[:o.bonusLen])
	if err != nil {
		return err
	}
	spill := rec.u8(27)&objectSpill != 0
	if !s.rules.spillFlags { // an old stream: an object that changed in any way has lost its spill block
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

// keepsContent reports whether o keeps the content of old. If so, it sets o.blockSize to
// old's.
func (s *stage) keepsContent(o, old *dnode, bonus []byte) (bool, error) {
	switch {
	case o.slots != old.slots, o.storage != old.storage:
		return false, nil
	case o.blockSize == old.blockSize:
		return true, nil
	case o.typ != typePlainFile || old.typ != typePlainFile, old.size <= int64(old.blockSize):
		return false, nil
	}
	// A file of several blocks has a new block size: either the previous stream was sent
	// without large blocks, or the number was reused for another file. The generation,
	// which is the transaction that created the file, tells which.
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

// fileInfo holds the attributes that can be read without the layouts, which may not have
// arrived: all layouts begin with the same attributes (include/sys/zfs_sa.h,
// SA_GEN_OFFSET and SA_FLAGS_OFFSET, which zpl_get_file_info relies on too).
type fileInfo struct{ mode, size, generation, flags uint64 }

// isLink reports whether the file is a symbolic link.
func (g fileInfo) isLink() bool { return g.mode&0o170000 == 0o120000 }

// readFileInfo reads a bonus that checkAccounting has accepted.
func readFileInfo(o byteOrder, typ objectType, bonus []byte) fileInfo {
	if typ == typeZnode {
		return fileInfo{o.u64(bonus[72:]), o.u64(bonus[80:]), o.u64(bonus[64:]), o.u64(bonus[120:])}
	}
	at := int(o.u16(bonus[4:])>>10) * 8 // SA_HDR_SIZE
	return fileInfo{o.u64(bonus[at:]), o.u64(bonus[at+8:]), o.u64(bonus[at+16:]), o.u64(bonus[at+saFlagsOffset:])}
}
