package zstream

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// The mount checks below cover what a kernel relies on when it mounts a file system,
// beyond what is needed to read one. CopyVerified runs them before it copies the END of
// a dataset.
//
// quotaEntries are the master node's entries for quotas (module/zfs/zfs_quota.c,
// zfs_userquota_prop_prefixes).
var quotaEntries = []string{
	"userquota@", "groupquota@", "userobjquota@", "groupobjquota@", "projectquota@", "projectobjquota@",
}

// checkMaster checks the objects that the master node refers to besides the root. It
// refuses FUID tables: a kernel panics at a damaged one (module/zfs/zfs_fuid.c,
// zfs_fuid_table_load).
func (f *zpl) checkMaster() error {
	if f.master["FUID"] != 0 {
		return errors.New("master node: names of foreign owners are not supported")
	}
	for _, name := range quotaEntries {
		number, ok := f.master[name]
		if !ok {
			continue
		}
		z, err := f.stage.zap(number, typeQuota)
		if err == nil {
			err = z.each(func(zapAttribute) error { return nil })
		}
		if err != nil {
			return fmt.Errorf("master node: %s: %w", name, err)
		}
	}
	number, ok := f.master["SHARES"]
	if !ok {
		return nil
	}
	_, _, err := f.znode(number)
	if err == nil {
		var z zap
		if z, err = f.stage.zap(number, typeDirectory); err == nil {
			err = z.each(func(e zapAttribute) error { return fmt.Errorf("%q: shares are not supported", e.name) })
		}
	}
	if err != nil {
		return fmt.Errorf("master node: SHARES: %w", err)
	}
	return nil
}

// checkUnlinkedSet checks the files that a kernel removes when it mounts: they must have
// no names (module/os/freebsd/zfs/zfs_dir.c, zfs_unlinked_drain, zfs_rmnode).
func (f *zpl) checkUnlinkedSet() error {
	z, err := f.stage.zap(f.master["DELETE_QUEUE"], typeUnlinked)
	if err == nil {
		err = z.each(f.checkUnlinked)
	}
	if err != nil {
		return fmt.Errorf("queue of files to remove: %w", err)
	}
	return nil
}

// checkUnlinked checks one entry of the unlinked set: a file, an empty directory, or a
// directory of extended attributes. The entry's name is the object's number in
// hexadecimal.
func (f *zpl) checkUnlinked(e zapAttribute) error {
	number, err := e.integer()
	if err != nil {
		return err
	}
	if string(e.name) != strconv.FormatUint(number, 16) { // zap_add_int
		return fmt.Errorf("%q is object %d", e.name, number)
	}
	o, n, err := f.znode(number)
	switch {
	case err != nil:
		return err
	case o.nameCount > 0 || number == f.root:
		return objectError(number, errors.New("it has a name in the tree"))
	case n.fileType() == unix.S_IFDIR && n.flags&flagXattr != 0:
		err = f.addXattrDir(map[string]Xattr{}, number, n.parent)
	case n.fileType() == unix.S_IFDIR:
		var d zap
		if d, err = f.stage.zap(number, typeDirectory); err == nil {
			err = d.each(func(e zapAttribute) error { return fmt.Errorf("%q: a directory to remove is not empty", e.name) })
		}
	}
	if err == nil {
		_, err = f.xattrs(n)
	}
	if err == nil {
		_, err = f.acl(n)
	}
	if err != nil {
		return objectError(number, err)
	}
	o.nameCount = 2 // a directory of extended attributes is queued with its file gone
	return nil
}

// checkBlocks refuses a file size beyond the only block of an object: reading there is a
// panic (module/zfs/dmu.c, dmu_buf_hold_array_by_dnode), and for a symbolic link before
// ZPL version 5 it discloses the memory behind the block (zfs_sa.c, zfs_sa_readlink).
func (n *znode) checkBlocks(o *dnode) error {
	within := n.fileType() == unix.S_IFLNK && (!n.isZnodePhys || int(n.size)+znodeSize <= int(o.bonusLen))
	switch {
	case n.fileType() != unix.S_IFREG && n.fileType() != unix.S_IFLNK || within:
	case n.size > int64(o.blockSize) && (!o.isPowerOfTwo() || n.fileType() == unix.S_IFLNK):
		return fmt.Errorf("%d bytes in the one block of %d", n.size, o.blockSize)
	}
	return nil
}

// checkXattrDir checks that a directory of extended attributes belongs to one object
// only: it is removed with that object (zfs_dir.c, zfs_rmnode).
func (f *zpl) checkXattrDir(dir, of uint64) error {
	o, n, err := f.znode(dir)
	switch {
	case err != nil:
		return err
	case n.flags&flagXattr == 0 || o.nameCount > 1:
		return objectError(dir, errors.New("it is no directory of extended attributes"))
	case n.parent != of:
		return objectError(dir, fmt.Errorf("its extended attributes belong to object %d", n.parent))
	}
	o.nameCount = 1
	return nil
}

// checkACL checks that an object with access control entries belongs to one file only:
// it is removed with that file (zfs_znode_os.c, zfs_znode_delete).
func (f *zpl) checkACL(o *dnode, n *znode) error {
	switch owner, taken := f.aclOwners[o.number]; {
	case taken && owner != n.object:
		return objectError(o.number, fmt.Errorf("it is the access control list of object %d", owner))
	case o.typ != typeACL && o.typ != typeOldACL:
		return objectError(o.number, fmt.Errorf("it is %v, and no access control list", o.typ))
	case !o.isPowerOfTwo() && int64(n.acl.size) > int64(o.blockSize):
		return objectError(o.number, fmt.Errorf("%d bytes in the one block of %d", n.acl.size, o.blockSize))
	}
	f.aclOwners[o.number] = n.object
	return nil
}

// checkDir checks the parent of a directory. A kernel follows parents to the root,
// wherever they lead, to remove a directory or to detect a rename into itself
// (module/os/freebsd/zfs/zfs_vnops_os.c, zfs_rename_check; zfs_dir.c, zfs_link_destroy).
func (n *znode) checkDir(parent uint64) error {
	if !n.hasAttr["ZPL_PARENT"] || n.parent != parent {
		return fmt.Errorf("it is in directory %d, and says %d", parent, n.parent)
	}
	return nil
}

// check returns an error if the links or the size of a directory are too small for the
// entries found.
func (d dirCounts) check(subdirs, names int64) error {
	switch {
	case int64(min(d.links, 1<<62)) < 2+subdirs:
		return fmt.Errorf("a directory of %d links with %d in it", d.links, subdirs)
	case d.size < 2+names:
		return fmt.Errorf("a directory of size %d with %d names", d.size, names)
	}
	return nil
}

// dirCounts are the links and size of a directory, with . and ..
type dirCounts struct {
	links uint64
	size  int64
}
