package zstream

import (
	"errors"
	"fmt"
)

// Offsets, behind the header, of the attributes by which a kernel accounts for a file
// (OpenZFS include/sys/zfs_sa.h, SA_FLAGS_OFFSET and SA_PROJID_OFFSET).
const (
	saFlagsOffset  = 48
	saProjIDOffset = 128
	flagProjID     = 1 << 47 // ZFS_PROJID (include/sys/zfs_znode.h)
)

// checkAccounting returns an error if a kernel could not account for an object's owner.
// A kernel does so when it writes the object to disk, before anyone can inspect the
// tree, and up to OpenZFS 2.2 it panics if the attributes do not begin as expected
// (module/zfs/dmu_objset.c, dmu_objset_userquota_get_ids; zfs_quota.c,
// zpl_get_file_info).
func checkAccounting(o byteOrder, typ objectType, bonus []byte) error {
	switch typ {
	case typeZnode:
		if len(bonus) < znodeSize {
			return fmt.Errorf("attributes: %d bytes, fewer than %d", len(bonus), znodeSize)
		}
	case typeSA:
		return checkSAAccounting(o, bonus)
	}
	return nil
}

// checkSAAccounting is checkAccounting for system attributes: their header, and values up
// to the flags, and up to the project if the flags say that there is one.
func checkSAAccounting(o byteOrder, bonus []byte) error {
	if len(bonus) < 8 || o.u32(bonus) != saMagic {
		return errors.New("attributes: they have no header")
	}
	at := int(o.u16(bonus[4:])>>10) * 8 // SA_HDR_SIZE
	if at < 8 || at > len(bonus) {
		return fmt.Errorf("attributes: a header of %d bytes in %d", at, len(bonus))
	}
	values := bonus[at:]
	if len(values) < saFlagsOffset+8 {
		return fmt.Errorf("attributes: %d bytes behind their header, fewer than owner and flags need", len(values))
	}
	if o.u64(values[saFlagsOffset:])&flagProjID != 0 && len(values) < saProjIDOffset+8 {
		return fmt.Errorf("attributes: %d bytes behind their header, fewer than a project needs", len(values))
	}
	return nil
}
