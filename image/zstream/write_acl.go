package zstream

import "encoding/binary"

// Access masks and types of entries of an access control list (FreeBSD
// sys/acl.h, OpenZFS include/os/freebsd/spl/sys/acl.h).
const (
	aceRead    = 0x1
	aceWrite   = 0x2 | 0x4 // write data, append data
	aceExecute = 0x20

	// Read named attributes, attributes and the list itself, synchronize.
	aceAlways = 0x8 | 0x80 | 0x20000 | 0x100000
	// Write named attributes, attributes, the list and the owner, too.
	aceOwnerAlways = aceAlways | 0x10 | 0x100 | 0x40000 | 0x80000

	aceAllow = 0
	aceDeny  = 1
)

// aceSize is the size of an entry for owner@, group@ or everyone@, zfs_ace_hdr_t
// (zfs_acl.h).
const aceSize = 8

// trivialACL returns the list that is equivalent to a mode: entries for owner, group and
// everyone. If a mode gives an owner or a group less than others, entries before them
// deny the difference (module/os/freebsd/spl/acl_common.c, acl_trivial_access_masks).
func trivialACL(mode uint32) []byte {
	owner, group, other := aceMask(mode>>6), aceMask(mode>>3), aceMask(mode)
	var list []byte
	entry := func(kind, who uint16, mask uint32) {
		le := binary.LittleEndian
		list = le.AppendUint16(list, kind)
		list = le.AppendUint16(list, who)
		list = le.AppendUint32(list, mask)
	}
	if mask := owner &^ group & other; mask != 0 {
		entry(aceAllow, aceOwner, mask)
	}
	if mask := (group | other) &^ owner; mask != 0 {
		entry(aceDeny, aceOwner, mask)
	}
	if mask := other &^ group; mask != 0 {
		entry(aceDeny, aceOwningGroup, mask)
	}
	entry(aceAllow, aceOwner, owner|aceOwnerAlways)
	entry(aceAllow, aceOwningGroup, group|aceAlways)
	entry(aceAllow, aceEveryone, other|aceAlways)
	return list
}

// aceMask converts the lowest three bits of a mode to an access mask.
func aceMask(mode uint32) (mask uint32) {
	if mode&4 != 0 {
		mask |= aceRead
	}
	if mode&2 != 0 {
		mask |= aceWrite
	}
	if mode&1 != 0 {
		mask |= aceExecute
	}
	return mask
}
