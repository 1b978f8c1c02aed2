package zstream

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// zpl reads the files of a dataset (ZFS POSIX layer) once its stage holds a complete
// snapshot.
type zpl struct {
	stage     *stage
	version   uint64 // ZPL version
	root      uint64 // object of the root directory
	table     *saTable
	master    map[string]uint64 // entries of the master node
	forMount  bool              // also check what a mounting kernel relies on
	aclOwners map[uint64]uint64 // files by the objects that hold their access control lists
	buf       []byte            // buffer for attributes

	maxNames int64 // bound of names
	names    int64
	budget   budget
}

// budget bounds the extended attributes and access control lists of all files together:
// many files can refer to the same directory of attributes.
type budget struct{ entries, bytes int64 }

// spend subtracts from the budget.
func (b *budget) spend(entries, bytes int64) error {
	b.entries -= entries
	b.bytes -= bytes
	if b.entries < 0 || b.bytes < 0 {
		return errors.New("there are more extended attributes than files may have in all")
	}
	return nil
}

// Of the master node: MASTER_NODE_OBJ and ZPL_VERSION_* (zfs_znode.h, fs/zfs.h).
const (
	masterNode    = 1
	zplDirentType = 2 // directory entries have a type from this version on
	zplSA         = 5
)

// openZPL reads the master node: the root directory and the layouts of attributes. limit
// bounds the names in the dataset, and the entries of lists of all files together.
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

// maxIntegers bounds a ZAP that is kept in memory: a master node has a dozen entries.
const maxIntegers = 1000

// readIntegers returns the entries of a small ZAP that hold one integer.
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

// znode reads the attributes of a file's object. It returns an error if the object's type
// and the mode disagree about whether it is a directory.
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

// readAttributes reads the attributes of o from a znode_phys_t or from system
// attributes.
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

// rootDir returns the root directory and counts its one name.
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

// resolveEntry returns the object that a directory entry names and counts the name. The
// type in an entry is the type in the mode, shifted by 12 bits (zfs_znode.h, IFTODT).
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
		err = fmt.Errorf("its name has type %d, its mode is %o", kind, n.mode)
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

// acl returns the access control list of a file, or nil if it is equivalent to the mode.
func (f *zpl) acl(n *znode) ([]ACE, error) {
	if n.flags&aclTrivial != 0 && !f.forMount {
		return nil, nil
	}
	list, err := f.entries(n)
	if err == nil && n.hasAttr["ZPL_DACL_COUNT"] && n.aceCount != uint64(len(list)) && f.forMount {
		// A kernel allocates room for ZPL_DACL_COUNT entries (module/zfs/zfs_acl.c,
		// zfs_getacl).
		err = fmt.Errorf("access control list: it is said to have %d entries, and has %d", n.aceCount, len(list))
	}
	if n.flags&aclTrivial != 0 {
		list = nil
	}
	return list, err
}

// entries returns the entries of the access control list, from the attributes or an
// object.
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
