package zstream

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// registry are the attributes of ZPL version 5 by number, as FreeBSD 14
// registers them: size in bytes, 0 where it varies, and how a machine of the
// other byte order has to swap them, sa_bswap_type_t (module/zfs/zfs_sa.c).
var registry = []struct {
	name string
	size uint16
	swap uint8
}{
	attrATime: {"ZPL_ATIME", 16, 0}, attrMTime: {"ZPL_MTIME", 16, 0},
	attrCTime: {"ZPL_CTIME", 16, 0}, attrCRTime: {"ZPL_CRTIME", 16, 0},
	attrGen: {"ZPL_GEN", 8, 0}, attrMode: {"ZPL_MODE", 8, 0}, attrSize: {"ZPL_SIZE", 8, 0},
	attrParent: {"ZPL_PARENT", 8, 0}, attrLinks: {"ZPL_LINKS", 8, 0}, 9: {"ZPL_XATTR", 8, 0},
	attrRdev: {"ZPL_RDEV", 8, 0}, attrFlags: {"ZPL_FLAGS", 8, 0},
	attrUID: {"ZPL_UID", 8, 0}, attrGID: {"ZPL_GID", 8, 0},
	14: {"ZPL_PAD", 32, 0}, 15: {"ZPL_ZNODE_ACL", 88, 3}, attrACLCount: {"ZPL_DACL_COUNT", 8, 0},
	attrSymlink: {"ZPL_SYMLINK", 0, 3}, 18: {"ZPL_SCANSTAMP", 32, 3}, attrACL: {"ZPL_DACL_ACES", 0, 4},
	attrXattrs: {"ZPL_DXATTR", 0, 3}, 21: {"ZPL_PROJID", 8, 0},
}

// Numbers in the registry, of the attributes that are written.
const (
	attrATime    = 0
	attrMTime    = 1
	attrCTime    = 2
	attrCRTime   = 3
	attrGen      = 4
	attrMode     = 5
	attrSize     = 6
	attrParent   = 7
	attrLinks    = 8
	attrRdev     = 10
	attrFlags    = 11
	attrUID      = 12
	attrGID      = 13
	attrACLCount = 16
	attrSymlink  = 17
	attrACL      = 19
	attrXattrs   = 20
)

// The layouts, by number. ZFS numbers its own layouts from 2 on. The first seven
// attributes must be these: ZFS reads them at fixed offsets (include/sys/zfs_sa.h,
// SA_MODE_OFFSET and the like).
var layouts = [][]uint16{
	layoutFile:         append(plainLayout, attrACLCount, attrACL),
	layoutDevice:       append(plainLayout, attrRdev, attrACLCount, attrACL),
	layoutSymlink:      append(plainLayout, attrACLCount, attrACL, attrSymlink),
	layoutXattrs:       append(plainLayout, attrACLCount, attrACL, attrXattrs),
	layoutSpillSymlink: {attrSymlink},
	layoutSpillXattrs:  {attrXattrs},
}

// Numbers of the layouts. A spill block has one of its own.
const (
	layoutFile = 2 + iota
	layoutDevice
	layoutSymlink
	layoutXattrs
	layoutSpillSymlink
	layoutSpillXattrs
)

// plainLayout begins the layout of every file. It is clipped, so that append copies it.
var plainLayout = slices.Clip([]uint16{
	attrMode, attrSize, attrGen, attrUID, attrGID, attrParent, attrFlags,
	attrATime, attrMTime, attrCTime, attrCRTime, attrLinks,
})

// registryEntries returns the entries of the registry's ZAP (sa_impl.h, ATTR_ENCODE).
func registryEntries() (entries []zapEntry) {
	for n, a := range registry {
		v := uint64(n) | uint64(a.swap)<<16 | uint64(a.size)<<24
		entries = append(entries, zapEntry{name: a.name, v: v})
	}
	return entries
}

// layoutEntries returns the entries of the layouts' ZAP.
func layoutEntries() (entries []zapEntry) {
	for n, l := range layouts {
		if l != nil {
			entries = append(entries, zapEntry{name: strconv.Itoa(n), list: l})
		}
	}
	return entries
}

// Of a dnode of 512 bytes, the room for attributes without and with the pointer
// to a spill block (dnode.h, DN_BONUS_SIZE, less sizeof (blkptr_t)).
const (
	bonusRoom      = 320
	bonusWithSpill = 192
)

// maxVariableAttr bounds an attribute of variable size: its header holds the size in 16
// bits.
const maxVariableAttr = 1<<16 - 1

// Bits of z_pflags (zfs_znode.h): the bits of every new file, and the bit of a file that
// everybody may execute.
const (
	newFileFlags  = 1<<35 | 1<<42 | aclTrivial // ZFS_ARCHIVE, ZFS_AV_MODIFIED
	noExecsDenied = 0x100
)

// encodeAttributes returns the system attributes of f: the bonus, and a spill block for
// what does not fit there, or nil. The input has a modification time only, so all times
// are equal to it.
func encodeAttributes(f *file, size, parent, links uint64) (bonus, spill []byte) {
	layout, more := uint16(layoutFile), []byte(nil)
	spillLayout := uint16(0)
	switch {
	case f.isDevice():
		layout = layoutDevice
	case f.target != "":
		layout, spillLayout, more = layoutSymlink, layoutSpillSymlink, []byte(f.target)
	case f.xattrs != nil:
		layout, spillLayout, more = layoutXattrs, layoutSpillXattrs, f.xattrs
	}
	acl := trivialACL(f.mode)
	values := fixedAttributes(f, size, parent, links)
	if f.isDevice() {
		values = binary.LittleEndian.AppendUint64(values, f.rdev)
	}
	values = binary.LittleEndian.AppendUint64(values, uint64(len(acl)/aceSize))
	values = append(values, acl...)
	if more == nil {
		return append(attrHeader(layout, len(acl)), values...), nil
	}
	bonus = append(attrHeader(layout, len(acl), len(more)), values...)
	if len(bonus)+len(more) <= bonusRoom {
		return append(bonus, more...), nil
	}
	bonus = append(attrHeader(layoutFile, len(acl)), values...)
	spill = append(attrHeader(spillLayout, len(more)), more...)
	return bonus, append(spill, make([]byte, -len(spill)&(sector-1))...)
}

// fixedAttributes encodes the attributes of plainLayout.
func fixedAttributes(f *file, size, parent, links uint64) []byte {
	flags := uint64(newFileFlags)
	if f.mode&0o111 == 0o111 {
		flags |= noExecsDenied
	}
	const generation = 4 // of a file that came with the file system: TXG_INITIAL
	values := make([]byte, 0, bonusRoom)
	for _, v := range []uint64{
		uint64(f.mode), size, generation, uint64(f.uid), uint64(f.gid), parent, flags,
		uint64(f.sec), uint64(f.nsec), uint64(f.sec), uint64(f.nsec),
		uint64(f.sec), uint64(f.nsec), uint64(f.sec), uint64(f.nsec), links,
	} {
		values = binary.LittleEndian.AppendUint64(values, v)
	}
	return values
}

// attrHeader returns an sa_hdr_phys_t with the lengths of variable attributes.
func attrHeader(layout uint16, lengths ...int) []byte {
	le := binary.LittleEndian
	size := align8(6 + 2*len(lengths))
	h := make([]byte, size, bonusRoom)
	le.PutUint32(h, saMagic)
	le.PutUint16(h[4:], layout|uint16(size/8)<<10) // SA_HDR_LAYOUT_INFO_ENCODE
	for i, n := range lengths {
		le.PutUint16(h[6+2*i:], uint16(n))
	}
	return h
}
