package zstream

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Xattr is an extended attribute. The mapping of names to namespaces is OpenZFS's
// (module/os/freebsd/zfs/zfs_vnops_os.c, zfs_create_attrname; include/sys/fs/zfs.h,
// ZFS_XA_NS_*): names in the user namespace are bare, or have Linux's prefix "user.".
type Xattr struct {
	Namespace string // user; system (FreeBSD's); linux.security, linux.system, linux.trusted
	Name      string
	Size      int64
	Value     []byte // nil if it has more than MaxXattr bytes
}

// MaxXattr is the largest value that is read, in bytes: Linux's limit (XATTR_SIZE_MAX,
// linux/limits.h).
const MaxXattr = 64 << 10

// maxXattrs bounds the extended attributes of one file.
const maxXattrs = 4096

// namespaces maps prefixes of names in ZFS to namespaces.
var namespaces = []struct{ prefix, name string }{
	{"user.", "user"}, {"freebsd:system:", "system"},
	{"security.", "linux.security"}, {"system.", "linux.system"}, {"trusted.", "linux.trusted"},
	{"", "user"},
}

// newXattr splits a name in ZFS into namespace and name.
func newXattr(name string, size int64, value []byte) (Xattr, error) {
	for _, ns := range namespaces {
		if rest, ok := strings.CutPrefix(name, ns.prefix); ok && rest != "" {
			return Xattr{ns.name, rest, size, value}, nil
		}
	}
	return Xattr{}, errors.New("extended attributes: one without a name")
}

// hasXattrs reports whether a file may have extended attributes. An empty list, of 20
// bytes, stays when the last one is removed.
func (n *znode) hasXattrs() bool { return n.xattrDir != 0 || len(n.xattrs) > 20 }

// xattrs returns the extended attributes of a file, sorted: from its system attributes
// (xattr=sa) and from its hidden directory (xattr=dir). If both have a name, the former
// wins (module/os/linux/zfs/zpl_xattr.c, __zpl_xattr_get).
func (f *zpl) xattrs(n *znode) ([]Xattr, error) {
	if !n.hasXattrs() {
		return nil, nil
	}
	all := map[string]Xattr{}
	if n.xattrDir != 0 {
		if err := f.addXattrDir(all, n.xattrDir, n.object); err != nil {
			return nil, fmt.Errorf("extended attributes: %w", err)
		}
	}
	if len(n.xattrs) > 0 {
		list, err := unpackNvlist(n.xattrs)
		if err == nil {
			err = list.checkUnique()
		}
		if err != nil {
			return nil, fmt.Errorf("extended attributes: %w", err)
		}
		for _, p := range list {
			value, ok := p.value.([]byte)
			if !ok {
				return nil, fmt.Errorf("extended attributes: %q has no value", p.name)
			}
			if err := addXattr(all, p.name, int64(len(value)), slices.Clone(value)); err != nil {
				return nil, err
			}
		}
	}
	list := make([]Xattr, 0, len(all))
	for _, x := range all {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b Xattr) int {
		return strings.Compare(a.Namespace+"\x00"+a.Name, b.Namespace+"\x00"+b.Name)
	})
	return list, nil
}

// addXattr adds an attribute to all, in place of one with the same namespace and name.
func addXattr(all map[string]Xattr, name string, size int64, value []byte) error {
	if len(all) >= maxXattrs {
		return fmt.Errorf("extended attributes: there are more than %d", maxXattrs)
	}
	x, err := newXattr(name, size, value)
	if err == nil {
		all[x.Namespace+"\x00"+x.Name] = x
	}
	return err
}

// addXattrDir adds the extended attributes in a hidden directory, each of which is a
// file.
func (f *zpl) addXattrDir(all map[string]Xattr, dir, of uint64) error {
	z, err := f.stage.zap(dir, typeDirectory)
	if err == nil && f.forMount {
		err = f.checkXattrDir(dir, of)
	}
	if err != nil {
		return err
	}
	return z.each(func(e zapAttribute) error {
		v, err := e.integer()
		if err != nil {
			return err
		}
		number := v & (1<<48 - 1)
		o, n, err := f.znode(number)
		if err != nil {
			return fmt.Errorf("%q: %w", e.name, err)
		}
		if n.fileType() != unix.S_IFREG || n.flags&flagXattr == 0 || o.storage != storedInJournal {
			return fmt.Errorf("%q: %w", e.name, objectError(number, errors.New("it is no extended attribute")))
		}
		if f.forMount {
			if n.links == 0 || n.parent != dir {
				return fmt.Errorf("%q: object %d has %d links, and says that it is in directory %d", e.name, number, n.links, n.parent)
			}
			o.nameCount = 1
		}
		var value []byte
		if n.size <= MaxXattr {
			value = make([]byte, n.size)
			// Bytes that were not written are zero.
			if _, err := f.stage.content(o).ReadAt(value, 0); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		if err := f.budget.spend(1, int64(len(value))); err != nil {
			return err
		}
		return addXattr(all, string(e.name), n.size, value)
	})
}
