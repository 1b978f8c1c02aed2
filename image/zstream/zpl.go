package zstream

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// files are those of one dataset, when all of a snapshot is in its stage.
type files struct {
	stage   *stage
	version uint64 // of the ZPL
	root    uint64 // the object of the top directory
	table   *attributeTable
	master  map[string]uint64 // the entries of the master node
	mounted bool              // a kernel is to mount it: it is more strict
	lists   map[uint64]uint64 // of objects with access control lists, whose those are
	buf     []byte            // for attributes

	limit  int64 // on names
	names  int64
	budget budget
}

// budget bounds what many files may point at together, of extended attributes
// and access control lists: one directory of them can be that of all.
type budget struct{ entries, bytes int64 }

// spend takes from it.
func (b *budget) spend(entries, bytes int64) error {
	b.entries -= entries
	b.bytes -= bytes
	if b.entries < 0 || b.bytes < 0 {
		return errors.New("there are more extended attributes than files may have in all")
	}
	return nil
}

// Of the master node, MASTER_NODE_OBJ and ZPL_VERSION_* (zfs_znode.h, fs/zfs.h).
const (
	masterNode    = 1
	zplDirentType = 2 // entries of directories have a type
	zplSA         = 5
)

// openFiles reads the master node: where the root is, and how attributes are laid out.
func openFiles(s *stage, limit int64) (*files, error) {
	f := &files{stage: s, buf: make([]byte, maxBonus+maxSpill), limit: limit, budget: budget{limit, maxKept}, lists: map[uint64]uint64{}}
	if err := s.closeContent(); err != nil {
		return nil, err
	}
	m, err := f.values(masterNode, typeMaster)
	if err != nil {
		return nil, fmt.Errorf("master node: %w", err)
	}
	f.master = m
	f.version, f.root = m["VERSION"], m["ROOT"]
	if f.version < 1 || f.version > zplSA {
		return nil, fmt.Errorf("file systems of ZPL version %d are not supported: only of 1 to %d", f.version, zplSA)
	}
	if f.version < zplSA {
		return f, nil
	}
	sa, err := f.values(m["SA_ATTRS"], typeSAMaster)
	if err != nil {
		return nil, fmt.Errorf("master node of attributes: %w", err)
	}
	registry, err := s.zap(sa["REGISTRY"], typeSARegistry)
	if err != nil {
		return nil, fmt.Errorf("registry of attributes: %w", err)
	}
	layouts, err := s.zap(sa["LAYOUTS"], typeSALayouts)
	if err != nil {
		return nil, fmt.Errorf("layouts of attributes: %w", err)
	}
	if f.table, err = newAttributeTable(registry, layouts); err == nil {
		err = f.table.check()
	}
	return f, err
}

// maxValues bounds a ZAP that is kept in memory: a master node has a dozen.
const maxValues = 1000

// values are the single numbers in a small ZAP.
func (f *files) values(object uint64, want objectType) (map[string]uint64, error) {
	z, err := f.stage.zap(object, want)
	if err != nil {
		return nil, err
	}
	m := map[string]uint64{}
	err = z.each(func(e entry) error {
		if len(m) >= maxValues {
			return fmt.Errorf("more than %d entries", maxValues)
		}
		if len(e.value) == 1 {
			m[string(e.name)] = e.value[0]
		}
		return nil
	})
	return m, err
}

// node reads the attributes of an object.
func (f *files) node(number uint64) (*staged, *node, error) {
	o, err := f.stage.objects.find(number)
	if err != nil {
		return nil, nil, err
	}
	if !o.typ.isFile() {
		return nil, nil, objectError(number, fmt.Errorf("it is %v, and no file", o.typ))
	}
	n, err := f.read(o)
	if isDir := err == nil && n.kind() == unix.S_IFDIR; err == nil && isDir != (o.typ == typeDirectory) {
		err = fmt.Errorf("it is %v, its mode is %o", o.typ, n.mode)
	}
	if err == nil && f.mounted {
		err = n.checkBlocks(o)
	}
	if err != nil {
		return nil, nil, objectError(number, err)
	}
	n.object = number
	return o, n, nil
}

// read reads the attributes of o, of either kind.
func (f *files) read(o *staged) (*node, error) {
	bonus, spill, err := f.stage.attributes(o, f.buf)
	if err != nil {
		return nil, err
	}
	n := &node{has: make(map[string]bool, 16)}
	if o.bonusType == typeZnode {
		err = n.setZnode(f.stage.order, bonus)
		if err == nil && n.kind() == unix.S_IFLNK {
			err = n.readTarget(bonus, f.stage.content(o))
		}
	} else {
		err = f.readSA(n, bonus, spill)
	}
	if err == nil {
		err = n.check()
	}
	return n, err
}

// readSA reads system attributes.
func (f *files) readSA(n *node, bonus, spill []byte) error {
	if f.table == nil {
		return fmt.Errorf("system attributes, in a file system of ZPL version %d", f.version)
	}
	set := func(name string, value []byte) error { return n.set(f.stage.order, name, value) }
	err := f.table.each(bonus, set)
	if err == nil && len(spill) > 0 {
		err = f.table.each(spill, set)
	}
	return err
}

// top is the root directory, which has its one name.
func (f *files) top() (*node, error) {
	o, n, err := f.node(f.root)
	if err != nil {
		return nil, fmt.Errorf("the root: %w", err)
	}
	if n.kind() != unix.S_IFDIR {
		return nil, objectError(f.root, errors.New("the root is no directory"))
	}
	o.names++
	return n, nil
}

// named is what an entry of a directory names, which has one name more by that. The
// types in entries are those of modes, by 12 bits lower (zfs_znode.h, IFTODT).
func (f *files) named(e entry) (*staged, *node, error) {
	v, err := e.number()
	if err != nil {
		return nil, nil, err
	}
	if f.names++; f.names > f.limit {
		return nil, nil, fmt.Errorf("there are more than %d names", f.limit)
	}
	number, kind := v&(1<<48-1), uint32(v>>60) // ZFS_DIRENT_OBJ, ZFS_DIRENT_TYPE
	o, n, err := f.node(number)
	if err != nil {
		return nil, nil, err
	}
	o.names++
	switch isDir := n.kind() == unix.S_IFDIR; {
	case n.kind()>>12 != kind && (kind != 0 || f.version >= zplDirentType):
		err = fmt.Errorf("its name is of type %d, its mode is %o", kind, n.mode)
	case isDir && o.names > 1:
		err = errors.New("the directory has a name already")
	case !isDir && (uint64(o.names) > max(n.links, 1) || f.mounted && n.links == 0): // zfs_link_destroy panics
		err = fmt.Errorf("it has more names than its %d links", n.links)
	case o.data && n.kind() != unix.S_IFREG && !isDir && !(n.old && n.kind() == unix.S_IFLNK):
		err = fmt.Errorf("a file of mode %o with content", n.mode)
	case n.flags&flagXattr != 0:
		err = errors.New("it is an extended attribute, and has a name in the tree")
	}
	if err != nil {
		return nil, nil, objectError(number, err)
	}
	return o, n, nil
}

// acl is the access control list of a file; nil if that is what the mode says.
func (f *files) acl(n *node) ([]ACE, error) {
	if n.flags&aclTrivial != 0 && !f.mounted {
		return nil, nil
	}
	list, err := f.entries(n)
	if err == nil && n.has["ZPL_DACL_COUNT"] && n.aceCount != uint64(len(list)) && f.mounted {
		// It makes room for as many (module/zfs/zfs_acl.c, zfs_getacl).
		err = fmt.Errorf("access control list: it is said to have %d entries, and has %d", n.aceCount, len(list))
	}
	if n.flags&aclTrivial != 0 {
		list = nil
	}
	return list, err
}

// entries are those of the access control list, wherever it is.
func (f *files) entries(n *node) ([]ACE, error) {
	if !n.old {
		return parseACEs(f.stage.order, n.aces)
	}
	return n.acl.entries(f.stage.order, func(object uint64) (io.ReaderAt, error) {
		o, err := f.stage.objects.find(object)
		if err == nil && o.home != inJournal {
			err = objectError(object, errors.New("it is no access control list"))
		}
		if err == nil && f.mounted {
			err = f.checkACL(o, n)
		}
		if err == nil {
			err = f.budget.spend(1, int64(n.acl.size))
		}
		if err != nil {
			return nil, err
		}
		return f.stage.content(o), nil
	})
}
