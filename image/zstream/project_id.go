package zstream

import (
	"errors"
	"fmt"
)

// Where attributes have what files are accounted by, behind their header
// (OpenZFS include/sys/zfs_sa.h, SA_FLAGS_OFFSET and SA_PROJID_OFFSET).
const (
	saFlagsOffset  = 48
	saProjIDOffset = 128
	flagProjID     = 1 << 47 // ZFS_PROJID (include/sys/zfs_znode.h)
)

// checkAccounting says what keeps a kernel from accounting for an object's owner. It
// does so when it writes the object to its disks, long before anybody has looked at
// the tree, and relies on what it finds: where attributes do not begin as they
// should it panics, up to OpenZFS 2.2 (module/zfs/dmu_objset.c,
// dmu_objset_userquota_get_ids; zfs_quota.c, zpl_get_file_info).
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
