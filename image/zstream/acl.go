package zstream

import (
	"errors"
	"fmt"
	"io"
)

// ACE is an entry of a file's NFSv4 access control list, with ZFS's numbers (OpenZFS
// include/sys/acl.h, ACE_*).
type ACE struct {
	Type  uint16 // 0 allows, 1 denies, 2 audits, 3 alarms
	Flags uint16 // inheritance, and the principal: 0x1000 owner@, 0x2040 group@, 0x4000 everyone@, 0x40 a group
	Mask  uint32 // permissions: 1 read, 2 write, …
	Who   uint32 // UID or GID, unless Flags name owner@, group@ or everyone@
}

// The principal of an entry, in its flags.
const (
	aceGroup       = 0x40
	aceOwner       = 0x1000
	aceOwningGroup = 0x2000 | aceGroup
	aceEveryone    = 0x4000
	aceTypeFlags   = 0x7000 | aceGroup
)

// hasID reports whether the entry is for one user or group by number.
func (a ACE) hasID() bool {
	switch a.Flags & aceTypeFlags {
	case aceOwner, aceOwningGroup, aceEveryone:
		return false
	}
	return true
}

// parseACEs decodes entries of variable size (zfs_ace_t; module/zfs/zfs_acl.c,
// zfs_ace_fuid_size): 8 bytes of type, flags and mask, and 8 for the principal. Windows'
// object entries (types 5 to 8) have two more identifiers.
func parseACEs(o byteOrder, p []byte) ([]ACE, error) {
	var list []ACE
	for len(p) > 0 {
		if len(p) < 8 {
			return nil, errors.New("access control list: an entry is cut")
		}
		a := ACE{Type: o.u16(p), Flags: o.u16(p[2:]), Mask: o.u32(p[4:])}
		size := 8
		if a.Type > 1 || a.hasID() {
			size = 16
		}
		if a.Type >= 5 && a.Type <= 8 {
			size = 48
		}
		if len(p) < size {
			return nil, errors.New("access control list: an entry is cut")
		}
		if size > 8 && a.hasID() {
			who, err := parseFUID(o.u64(p[8:]))
			if err != nil {
				return nil, fmt.Errorf("access control list: %w", err)
			}
			a.Who = who
		}
		p = p[size:]
		list = append(list, a)
	}
	return list, nil
}

// aclPhys is a zfs_acl_phys_t of a znode_phys_t: entries in the znode, or in an object.
type aclPhys struct {
	object  uint64
	version uint16
	count   uint32 // of entries, in version 0
	size    uint32 // bytes
	inline  []byte
}

// Sizes of a zfs_oldace_t, of all that is in a znode, and a bound on the others.
const (
	oldACESize    = 12
	inlineACLSize = 72
	maxACL        = 64 << 10
)

// parseACLPhys decodes a zfs_acl_phys_t: z_acl_extern_obj at 0, then z_acl_count at 8
// and version at 12; or, in version 1, z_acl_size at 8, version at 12, and z_acl_count
// at 14. The result does not refer to p.
func parseACLPhys(o byteOrder, p []byte) aclPhys {
	a := aclPhys{object: o.u64(p), version: o.u16(p[12:]), size: o.u32(p[8:]), inline: append([]byte(nil), p[16:16+inlineACLSize]...)}
	if a.version == 0 {
		a.count = a.size
		a.size *= oldACESize
	}
	return a
}

// entries decodes the list; open returns the content of an object. It checks every size
// before it allocates: all of them come from the stream.
func (a aclPhys) entries(o byteOrder, open func(object uint64) (io.ReaderAt, error)) ([]ACE, error) {
	if a.version > 1 || a.count > maxACL || a.size > maxACL {
		return nil, fmt.Errorf("access control list: version %d of %d bytes is not known", a.version, a.size)
	}
	p := a.inline
	if a.object != 0 {
		r, err := open(a.object)
		if err != nil {
			return nil, fmt.Errorf("access control list: %w", err)
		}
		p = make([]byte, a.size)
		if _, err := r.ReadAt(p, 0); err != nil {
			return nil, fmt.Errorf("access control list: %w", unexpectedEOF(err))
		}
	}
	if int(a.size) > len(p) {
		return nil, fmt.Errorf("access control list: %d bytes where there are %d", a.size, len(p))
	}
	p = p[:a.size]
	if a.version == 1 {
		return parseACEs(o, p)
	}
	var list []ACE
	for ; len(p) > 0; p = p[oldACESize:] { // zfs_oldace_t
		list = append(list, ACE{Who: o.u32(p), Mask: o.u32(p[4:]), Flags: o.u16(p[8:]), Type: o.u16(p[10:])})
	}
	return list, nil
}
