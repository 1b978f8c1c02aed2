package zstream

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// userPrefix begins the names of extended attributes in the user namespace. On Linux ZFS
// stores them with it; on FreeBSD ZFS reads them with it.
const userPrefix = "user."

// maxXattr is DXATTR_MAX_ENTRY_SIZE (zfs_sa.h): the bytes of one value.
const maxXattr = 32 << 10

// Kinds of omissions from a tree, for Files.Warnings.
const (
	omitXattrs     = "extended attributes of other namespaces than user"
	omitLarge      = "extended attributes of more than 32 KiB, or 64 KiB in all"
	omitLinkXattrs = "extended attributes of links and devices"
	omitACLs       = "access control lists"
	omitFlags      = "file flags"
	omitAUFS       = "files that AUFS keeps for itself"
	omitSpecial    = "files of kinds that have no place in a file system"
)

// setXattrs sets a file's extended attributes as a packed list among its system
// attributes (OpenZFS module/zfs/zfs_sa.c, zfs_sa_set_xattr). Only regular files and
// directories have them.
func (t *Files) setXattrs(f *file, xattrs map[string][]byte) {
	if len(xattrs) == 0 {
		return
	}
	if f.kind() != unix.S_IFREG && !f.isDir() {
		t.omit(omitLinkXattrs)
		return
	}
	var list nvlist
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		if len(xattrs[name]) > maxXattr {
			t.omit(omitLarge)
			return
		}
		list = append(list, nvpair{name, xattrs[name]})
	}
	packed := list.pack()
	if len(packed) > maxVariableAttr {
		t.omit(omitLarge)
		return
	}
	f.xattrs = packed
}

// readXattrs returns the extended attributes in the user namespace of the file at a path,
// or of the link itself if it is one, and counts others as omitted. It returns nil if the
// file system has none.
func (t *dirScanner) readXattrs(path string) (map[string][]byte, error) {
	names, err := listXattrs(path, t.list[:])
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("extended attributes of %s: %w", path, err)
	}
	var all map[string][]byte
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, userPrefix):
		case strings.HasPrefix(name, "system.posix"): // posix_acl_access, or posix1e.acl_access
			t.omit(omitACLs)
			continue
		case name == "security.selinux": // every file has it where there is any
			continue
		default:
			t.omit(omitXattrs)
			continue
		}
		value := t.value[:]
		n, err := unix.Lgetxattr(path, name, value)
		if errors.Is(err, unix.ERANGE) {
			n, err = len(value), nil
		}
		if err != nil {
			return nil, fmt.Errorf("extended attribute %s of %s: %w", name, path, err)
		}
		if all == nil {
			all = map[string][]byte{}
		}
		all[name] = slices.Clone(value[:n])
	}
	return all, nil
}
