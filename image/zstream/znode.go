package zstream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// znode holds the attributes of a file (ZPL_*, OpenZFS include/sys/zfs_sa.h).
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
	object      uint64 // object number
	parent      uint64 // object of its directory; of a directory of extended attributes, the object of their file
	aceCount    uint64 // number of entries in aces
	rdev        uint64 // major above minor, of 32 bits each
	flags       uint64 // z_pflags
	symlink     string
	xattrDir    uint64 // object of the directory of extended attributes, 0 if none
	xattrs      []byte // packed list of extended attributes kept as a system attribute
	aces        []byte
	acl         aclPhys
	isZnodePhys bool // from a znode_phys_t: ZPL before version 5

	hasAttr map[string]bool // attributes that were set
}

// saAttrSizes are the sizes of attributes in bytes, 0 if variable (module/zfs/zfs_sa.c,
// zfs_attr_table). A kernel copies as many bytes as the registry says into a buffer of
// the standard size (sa.c, sa_attr_op).
var saAttrSizes = map[string]int{
	"ZPL_MODE": 8, "ZPL_SIZE": 8, "ZPL_LINKS": 8, "ZPL_UID": 8, "ZPL_GID": 8, "ZPL_FLAGS": 8,
	"ZPL_ATIME": 16, "ZPL_MTIME": 16, "ZPL_CTIME": 16, "ZPL_CRTIME": 16, "ZPL_RDEV": 8, "ZPL_XATTR": 8, "ZPL_GEN": 8,
	"ZPL_PARENT": 8, "ZPL_DACL_COUNT": 8, "ZPL_PROJID": 8, "ZPL_SCANSTAMP": 32, "ZPL_PAD": 32, "ZPL_ZNODE_ACL": 88,
	"ZPL_SYMLINK": 0, "ZPL_DACL_ACES": 0, "ZPL_DXATTR": 0,
}

// requiredAttrs are the attributes that every file has.
var requiredAttrs = []string{
	"ZPL_MODE", "ZPL_SIZE", "ZPL_LINKS", "ZPL_UID", "ZPL_GID", "ZPL_FLAGS", "ZPL_ATIME", "ZPL_MTIME",
}

// check returns an error if an attribute that a file of its type must have is missing.
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

// fileType returns the file type bits of the mode, which are the same on all systems
// (stat(2)).
func (n *znode) fileType() uint32 { return n.mode & unix.S_IFMT }

// isDevice reports whether the file has a device number.
func (n *znode) isDevice() bool { return n.fileType() == unix.S_IFCHR || n.fileType() == unix.S_IFBLK }

// set sets one attribute from its value, which has the size in saAttrSizes: the registry
// was checked. It ignores the values of attributes that the package does not use.
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

// maxTarget bounds the target of a symbolic link: PATH_MAX of Linux, with the NUL.
const maxTarget = 4096

// target returns the target of a symbolic link, or an error if no link can have it.
func (n *znode) target() (string, error) {
	switch {
	case len(n.symlink) >= maxTarget:
		return "", fmt.Errorf("a link to a path of %d bytes, %d or more", len(n.symlink), maxTarget)
	case strings.IndexByte(n.symlink, 0) >= 0:
		return "", errors.New("a link to a path with NUL in it")
	}
	return n.symlink, nil
}

// timespec decodes a time: seconds, negative before 1970, and nanoseconds. utimensat(2)
// gives larger nanoseconds a special meaning.
func timespec(sec, nsec uint64) (unix.Timespec, error) {
	if nsec >= 1e9 {
		return unix.Timespec{}, fmt.Errorf("%d nanoseconds", nsec)
	}
	return unix.TimeToTimespec(time.Unix(int64(sec), int64(nsec)))
}

// timeOf converts a timespec to a time in UTC.
func timeOf(ts unix.Timespec) time.Time { return time.Unix(ts.Unix()).UTC() }

// parseFUID returns a user or group ID. Bits above 32 select another domain (zfs_fuid.h,
// FUID_INDEX), which is refused.
func parseFUID(v uint64) (uint32, error) {
	if v>>32 != 0 || v == 1<<32-1 {
		return 0, fmt.Errorf("owner %#x, of a foreign domain, is not supported", v)
	}
	return uint32(v), nil
}
