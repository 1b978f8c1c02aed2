package zstream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// znode is what the attributes say of a file (ZPL_*, OpenZFS include/sys/zfs_sa.h).
type znode struct {
	mode        uint32 // st_mode, with the type
	size        int64
	links       uint64
	uid, gid    uint32
	atime       unix.Timespec
	mtime       unix.Timespec
	ctime       unix.Timespec
	crtime      unix.Timespec
	generation  uint64
	object      uint64 // its number
	parent      uint64 // the directory that it is in; of extended attributes, what they are of
	aceCount    uint64 // of aces
	rdev        uint64 // major above minor, of 32 bits each
	flags       uint64 // z_pflags
	symlink     string
	xattrDir    uint64 // the object of a directory of extended attributes, 0 for none
	xattrs      []byte // the list of those that are attributes themselves, packed
	aces        []byte
	acl         aclPhys
	isZnodePhys bool // it is of a ZPL before version 5

	hasAttr map[string]bool // which of required were set
}

// saAttrSizes are those of attributes, in bytes, 0 where it varies (module/zfs/zfs_sa.c,
// zfs_attr_table). A kernel copies as much as the registry says to where it has
// room for so much (sa.c, sa_attr_op).
var saAttrSizes = map[string]int{
	"ZPL_MODE": 8, "ZPL_SIZE": 8, "ZPL_LINKS": 8, "ZPL_UID": 8, "ZPL_GID": 8, "ZPL_FLAGS": 8,
	"ZPL_ATIME": 16, "ZPL_MTIME": 16, "ZPL_CTIME": 16, "ZPL_CRTIME": 16, "ZPL_RDEV": 8, "ZPL_XATTR": 8, "ZPL_GEN": 8,
	"ZPL_PARENT": 8, "ZPL_DACL_COUNT": 8, "ZPL_PROJID": 8, "ZPL_SCANSTAMP": 32, "ZPL_PAD": 32, "ZPL_ZNODE_ACL": 88,
	"ZPL_SYMLINK": 0, "ZPL_DACL_ACES": 0, "ZPL_DXATTR": 0,
}

// requiredAttrs are those that every file has.
var requiredAttrs = []string{
	"ZPL_MODE", "ZPL_SIZE", "ZPL_LINKS", "ZPL_UID", "ZPL_GID", "ZPL_FLAGS", "ZPL_ATIME", "ZPL_MTIME",
}

// check refuses a node without all of it.
func (n *znode) check() error {
	for _, name := range requiredAttrs {
		if !n.hasAttr[name] {
			return fmt.Errorf("attributes: there is no %s", name)
		}
	}
	if n.fileType() == unix.S_IFLNK && n.symlink == "" {
		return errors.New("attributes: a link without ZPL_SYMLINK")
	}
	if n.isDevice() && !n.hasAttr["ZPL_RDEV"] {
		return errors.New("attributes: a device without ZPL_RDEV")
	}
	return nil
}

// fileType is the type in the mode. Its numbers are the same everywhere (stat(2)).
func (n *znode) fileType() uint32 { return n.mode & unix.S_IFMT }

// isDevice tells whether it has a number of a device.
func (n *znode) isDevice() bool { return n.fileType() == unix.S_IFCHR || n.fileType() == unix.S_IFBLK }

// set takes one attribute over. The registry has made sure of its size.
func (n *znode) set(o byteOrder, name string, value []byte) (err error) {
	u64 := func(i int) uint64 { return o.u64(value[8*i:]) }
	switch name {
	case "ZPL_MODE":
		n.mode = uint32(u64(0)) & 0o177777
	case "ZPL_SIZE":
		if n.size = int64(u64(0)); n.size < 0 {
			err = fmt.Errorf("%d bytes", n.size)
		}
	case "ZPL_LINKS":
		n.links = u64(0)
	case "ZPL_UID":
		n.uid, err = parseFUID(u64(0))
	case "ZPL_GID":
		n.gid, err = parseFUID(u64(0))
	case "ZPL_ATIME":
		n.atime, err = timespec(u64(0), u64(1))
	case "ZPL_MTIME":
		n.mtime, err = timespec(u64(0), u64(1))
	case "ZPL_CTIME":
		n.ctime, err = timespec(u64(0), u64(1))
	case "ZPL_CRTIME":
		n.crtime, err = timespec(u64(0), u64(1))
	case "ZPL_GEN":
		n.generation = u64(0)
	case "ZPL_RDEV":
		n.rdev = u64(0)
	case "ZPL_PARENT":
		n.parent = u64(0)
	case "ZPL_DACL_COUNT":
		n.aceCount = u64(0)
	case "ZPL_FLAGS":
		n.flags = u64(0)
	case "ZPL_XATTR":
		n.xattrDir = u64(0)
	case "ZPL_DXATTR":
		n.xattrs = slices.Clone(value)
	case "ZPL_SYMLINK":
		n.symlink = string(value)
	case "ZPL_DACL_ACES":
		n.aces = slices.Clone(value)
	}
	n.hasAttr[name] = true
	return err
}

// maxTarget bounds what a symbolic link is to: PATH_MAX of Linux, with the NUL.
const maxTarget = 4096

// target is what a symbolic link is to, if that can be.
func (n *znode) target() (string, error) {
	switch {
	case len(n.symlink) >= maxTarget:
		return "", fmt.Errorf("a link to a path of %d bytes, %d or more", len(n.symlink), maxTarget)
	case strings.IndexByte(n.symlink, 0) >= 0:
		return "", errors.New("a link to a path with NUL in it")
	}
	return n.symlink, nil
}

// timespec is a time as ZFS has it: seconds, negative before 1970, and
// nanoseconds. Larger ones have a meaning of their own in utimensat(2).
func timespec(sec, nsec uint64) (unix.Timespec, error) {
	if nsec >= 1e9 {
		return unix.Timespec{}, fmt.Errorf("%d nanoseconds", nsec)
	}
	return unix.TimeToTimespec(time.Unix(int64(sec), int64(nsec)))
}

// timeOf is a time for those who have no use for a timespec.
func timeOf(ts unix.Timespec) time.Time { return time.Unix(ts.Unix()).UTC() }

// parseFUID is a user or group by number; what is above 32 bits stands for one of
// another domain (zfs_fuid.h, FUID_INDEX).
func parseFUID(v uint64) (uint32, error) {
	if v>>32 != 0 || v == 1<<32-1 {
		return 0, fmt.Errorf("owner %#x, of a foreign domain, is not supported", v)
	}
	return uint32(v), nil
}
