package zstream

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// zpl are those of one dataset, when all of a snapshot is in its stage.
type zpl struct {
	stage     *stage
	version   uint64 // of the ZPL
	root      uint64 // the object of the top directory
	table     *saTable
	master    map[string]uint64 // the entries of the master node
	forMount  bool              // a kernel is to mount it: it is more strict
	aclOwners map[uint64]uint64 // of objects with access control lists, whose those are
	buf       []byte            // for attributes

	maxNames int64 // on names
	names    int64
	budget   budget
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

// openZPL reads the master node: where the root is, and how attributes are laid out.
func openZPL(s *stage, limit int64) (*zpl, error) {
	f := &zpl{stage: s, buf: make([]byte, maxBonus+maxSpill), maxNames: limit, budget: budget{limit, maxJournalContent}, aclOwners: map[uint64]uint64{}}
	if err := s.closeContent(); err != nil {
		return nil, err
	}
	m, err := f.readIntegers(masterNode, typeMaster)
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
	sa, err := f.readIntegers(m["SA_ATTRS"], typeSAMaster)
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
	if f.table, err = newSATable(registry, layouts); err == nil {
		err = f.table.check()
	}
	return f, err
}

// maxIntegers bounds a ZAP that is kept in memory: a master node has a dozen.
const maxIntegers = 1000

// readIntegers are the single numbers in a small ZAP.
func (f *zpl) readIntegers(object uint64, want objectType) (map[string]uint64, error) {
	z, err := f.stage.zap(object, want)
	if err != nil {
		return nil, err
	}
	m := map[string]uint64{}
	err = z.each(func(e zapAttribute) error {
		if len(m) >= maxIntegers {
			return fmt.Errorf("more than %d entries", maxIntegers)
		}
		if len(e.value) == 1 {
			m[string(e.name)] = e.value[0]
		}
		return nil
	})
	return m, err
}

// znode reads the attributes of an object.
func (f *zpl) znode(number uint64) (*dnode, *znode, error) {
	o, err := f.stage.objects.find(number)
	if err != nil {
		return nil, nil, err
	}
	if !o.typ.isFile() {
		return nil, nil, objectError(number, fmt.Errorf("it is %v, and no file", o.typ))
	}
	n, err := f.readAttributes(o)
	if isDir := err == nil && n.fileType() == unix.S_IFDIR; err == nil && isDir != (o.typ == typeDirectory) {
		err = fmt.Errorf("it is %v, its mode is %o", o.typ, n.mode)
	}
	if err == nil && f.forMount {
		err = n.checkBlocks(o)
	}
	if err != nil {
		return nil, nil, objectError(number, err)
	}
	n.object = number
	return o, n, nil
}

// readAttributes reads the attributes of o, of either kind.
func (f *zpl) readAttributes(o *dnode) (*znode, error) {
	bonus, spill, err := f.stage.attributes(o, f.buf)
	if err != nil {
		return nil, err
	}
	n := &znode{hasAttr: make(map[string]bool, 16)}
	if o.bonusType == typeZnode {
		err = n.setZnodePhys(f.stage.order, bonus)
		if err == nil && n.fileType() == unix.S_IFLNK {
			err = n.readSymlink(bonus, f.stage.content(o))
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
func (f *zpl) readSA(n *znode, bonus, spill []byte) error {
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

// rootDir is the root directory, which has its one name.
func (f *zpl) rootDir() (*znode, error) {
	o, n, err := f.znode(f.root)
	if err != nil {
		return nil, fmt.Errorf("the root: %w", err)
	}
	if n.fileType() != unix.S_IFDIR {
		return nil, objectError(f.root, errors.New("the root is no directory"))
	}
	o.nameCount++
	return n, nil
}

// resolveEntry is what an entry of a directory names, which has one name more by that. The
// types in entries are those of modes, by 12 bits lower (zfs_znode.h, IFTODT).
func (f *zpl) resolveEntry(e zapAttribute) (*dnode, *znode, error) {
	v, err := e.integer()
	if err != nil {
		return nil, nil, err
	}
	if f.names++; f.names > f.maxNames {
		return nil, nil, fmt.Errorf("there are more than %d names", f.maxNames)
	}
	number, kind := v&(1<<48-1), uint32(v>>60) // ZFS_DIRENT_OBJ, ZFS_DIRENT_TYPE
	o, n, err := f.znode(number)
	if err != nil {
		return nil, nil, err
	}
	o.nameCount++
	switch isDir := n.fileType() == unix.S_IFDIR; {
	case n.fileType()>>12 != kind && (kind != 0 || f.version >= zplDirentType):
		err = fmt.Errorf("its name is of type %d, its mode is %o", kind, n.mode)
	case isDir && o.nameCount > 1:
		err = errors.New("the directory has a name already")
	case !isDir && (uint64(o.nameCount) > max(n.links, 1) || f.forMount && n.links == 0): // zfs_link_destroy panics
		err = fmt.Errorf("it has more names than its %d links", n.links)
	case o.hasData && n.fileType() != unix.S_IFREG && !isDir && !(n.isZnodePhys && n.fileType() == unix.S_IFLNK):
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
func (f *zpl) acl(n *znode) ([]ACE, error) {
	if n.flags&aclTrivial != 0 && !f.forMount {
		return nil, nil
	}
	list, err := f.entries(n)
	if err == nil && n.hasAttr["ZPL_DACL_COUNT"] && n.aceCount != uint64(len(list)) && f.forMount {
		// It makes room for as many (module/zfs/zfs_acl.c, zfs_getacl).
		err = fmt.Errorf("access control list: it is said to have %d entries, and has %d", n.aceCount, len(list))
	}
	if n.flags&aclTrivial != 0 {
		list = nil
	}
	return list, err
}

// entries are those of the access control list, wherever it is.
func (f *zpl) entries(n *znode) ([]ACE, error) {
	if !n.isZnodePhys {
		return parseACEs(f.stage.order, n.aces)
	}
	return n.acl.entries(f.stage.order, func(object uint64) (io.ReaderAt, error) {
		o, err := f.stage.objects.find(object)
		if err == nil && o.storage != storedInJournal {
			err = objectError(object, errors.New("it is no access control list"))
		}
		if err == nil && f.forMount {
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
