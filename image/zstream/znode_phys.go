package zstream

import (
	"errors"
	"fmt"
	"io"
)

// znodeSize is sizeof (znode_phys_t) (OpenZFS include/sys/zfs_sa.h): the attributes of a
// file before ZPL version 5, at fixed offsets. The rest of the bonus holds the target of
// a short symbolic link.
const znodeSize = 264

// setZnodePhys sets n from a znode_phys_t. Offsets: zp_atime 0, mtime 16, ctime 32,
// crtime 48, gen 64, mode 72, size 80, parent 88, links 96, xattr 104, rdev 112, flags
// 120, uid 128, gid 136, acl 176.
func (n *znode) setZnodePhys(o byteOrder, bonus []byte) error {
	if len(bonus) < znodeSize {
		return fmt.Errorf("attributes: %d bytes, fewer than %d", len(bonus), znodeSize)
	}
	for name, at := range map[string]int{
		"ZPL_ATIME": 0, "ZPL_MTIME": 16, "ZPL_CTIME": 32, "ZPL_CRTIME": 48, "ZPL_GEN": 64, "ZPL_MODE": 72, "ZPL_SIZE": 80, "ZPL_PARENT": 88,
		"ZPL_LINKS": 96, "ZPL_XATTR": 104, "ZPL_RDEV": 112, "ZPL_FLAGS": 120, "ZPL_UID": 128, "ZPL_GID": 136,
	} {
		if err := n.set(o, name, bonus[at:]); err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	n.isZnodePhys = true
	n.acl = parseACLPhys(o, bonus[176:znodeSize])
	return nil
}

// readSymlink reads the target of a symbolic link before ZPL version 5: behind the
// znode_phys_t in the bonus, or, if it does not fit there, in the object's content
// (module/os/*/zfs/zfs_znode*.c, zfs_readlink's zp->z_size and ZFS_OLD_ZNODE_PHYS_SIZE).
func (n *znode) readSymlink(bonus []byte, content io.ReaderAt) error {
	switch {
	case n.size <= 0 || n.size >= maxTarget:
		return fmt.Errorf("a link to a path of %d bytes, %d or more", n.size, maxTarget)
	case int(n.size)+znodeSize <= len(bonus):
		n.symlink = string(bonus[znodeSize:][:n.size])
		return nil
	}
	target := make([]byte, n.size)
	if _, err := content.ReadAt(target, 0); errors.Is(err, io.EOF) {
		return errors.New("a link whose target was not written")
	} else if err != nil {
		return err
	}
	n.symlink = string(target)
	return nil
}
