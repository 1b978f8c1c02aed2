package zstream

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tree makes the directories and files of one dataset from its stage. Files get
// all that is theirs in the stage, which nobody else can enter, and then their
// names; a directory is open to its owner alone until all in it is made.
type tree struct {
	ctx     context.Context
	stage   *stage
	stagefd int
	table   *attributeTable
	left    omissions
	limit   int64 // on names
	names   int64
	buf     []byte // for attributes
}

// omissions are what was left out of the trees: how often, by kind.
type omissions map[string]int64

// maxDepth bounds directories within directories: a descriptor is open on each.
const maxDepth = 512

// directory is one that has a name, and is to be filled.
type directory struct {
	name   string
	object uint64
}

// place makes the tree in the directory at, which is empty but for the stage,
// and returns what the directory itself is to become.
func (t *tree) place(at *os.File) (root *node, err error) {
	if err := t.stage.flush(); err != nil {
		return nil, err
	}
	private, err := t.stage.files.Open(".")
	if err != nil {
		return nil, err
	}
	defer private.Close()
	t.stagefd, t.buf = int(private.Fd()), make([]byte, maxBonus+maxSpill)

	number, err := t.master()
	if err != nil {
		return nil, err
	}
	o, root, err := t.node(number)
	if err != nil {
		return nil, fmt.Errorf("the root: %w", err)
	}
	if root.kind() != unix.S_IFDIR {
		return nil, objectError(number, errors.New("the root is no directory"))
	}
	o.names++
	return root, t.fill(int(at.Fd()), directory{object: number}, 0)
}

// Of the master node, MASTER_NODE_OBJ and ZPL_VERSION_SA (zfs_znode.h, fs/zfs.h).
const (
	masterNode = 1
	zplVersion = 5
)

// master reads the master node: where the root is, and how attributes are laid out.
func (t *tree) master() (root uint64, err error) {
	m, err := t.values(masterNode, typeMaster)
	if err != nil {
		return 0, fmt.Errorf("master node: %w", err)
	}
	if v := m["VERSION"]; v != zplVersion {
		return 0, fmt.Errorf("file systems of ZPL version %d are not supported: only of %d", v, zplVersion)
	}
	sa, err := t.values(m["SA_ATTRS"], typeSAMaster)
	if err != nil {
		return 0, fmt.Errorf("master node of attributes: %w", err)
	}
	registry, done, err := t.stage.zap(sa["REGISTRY"], typeSARegistry)
	if err != nil {
		return 0, fmt.Errorf("registry of attributes: %w", err)
	}
	defer done()
	layouts, done, err := t.stage.zap(sa["LAYOUTS"], typeSALayouts)
	if err != nil {
		return 0, fmt.Errorf("layouts of attributes: %w", err)
	}
	defer done()
	t.table, err = newAttributeTable(registry, layouts)
	return m["ROOT"], err
}

// maxValues bounds a ZAP that is kept in memory: a master node has a dozen.
const maxValues = 1000

// values are the single numbers in a small ZAP.
func (t *tree) values(object uint64, want objectType) (map[string]uint64, error) {
	z, done, err := t.stage.zap(object, want)
	if err != nil {
		return nil, err
	}
	defer done()
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
func (t *tree) node(number uint64) (*staged, *node, error) {
	o, err := t.stage.objects.find(number)
	if err != nil {
		return nil, nil, err
	}
	if o.typ != typePlainFile && o.typ != typeDirectory {
		return nil, nil, objectError(number, fmt.Errorf("it is %v, and no file", o.typ))
	}
	bonus, spill, err := t.stage.attributes(o, t.buf)
	if err != nil {
		return nil, nil, err
	}
	n := &node{has: make(map[string]bool, 16)}
	err = t.table.each(bonus, n.set)
	if err == nil && len(spill) > 0 {
		err = t.table.each(spill, n.set)
	}
	if err == nil {
		err = n.check()
	}
	if isDir := n.kind() == unix.S_IFDIR; err == nil && isDir != (o.typ == typeDirectory) {
		err = fmt.Errorf("it is %v, its mode is %o", o.typ, n.mode)
	}
	if err != nil {
		return nil, nil, objectError(number, err)
	}
	return o, n, nil
}

// fill makes what is in the directory d, open as fd. Its name is its path here.
// First come all its names; then, one after the other, what is in those that are
// directories, so that of the list no more is in memory than they are.
func (t *tree) fill(fd int, d directory, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%q: more than %d directories deep", "/"+d.name, maxDepth)
	}
	z, done, err := t.stage.zap(d.object, typeDirectory)
	if err != nil {
		return fmt.Errorf("directory %q: %w", "/"+d.name, err)
	}
	defer done()
	var below []directory
	err = z.each(func(e entry) error {
		dir, err := t.add(fd, e)
		if err == nil && dir != 0 {
			below = append(below, directory{string(e.name), dir})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("directory %q: %w", "/"+d.name, err)
	}
	if err := done(); err != nil {
		return err
	}
	for _, sub := range below {
		if err := t.fillBelow(fd, d.name, sub, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// fillBelow fills a directory in the one that is open as fd, and then gives it
// what is its own.
func (t *tree) fillBelow(fd int, path string, d directory, depth int) error {
	sub, err := unix.Openat(fd, d.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(sub)
	if path != "" {
		d.name = path + "/" + d.name
	}
	if err := t.fill(sub, d, depth); err != nil {
		return err
	}
	_, n, err := t.node(d.object)
	if err != nil {
		return err
	}
	if err := t.left.finish(sub, ".", n); err != nil {
		return fmt.Errorf("directory %q: %w", "/"+d.name, err)
	}
	return nil
}

// add makes what an entry of the directory fd names. If that is a directory, it
// is empty yet, and its object is returned.
func (t *tree) add(fd int, e entry) (dir uint64, err error) {
	if t.ctx.Err() != nil {
		return 0, context.Cause(t.ctx)
	}
	if err := checkName(string(e.name)); err != nil {
		return 0, err
	}
	v, err := e.number()
	if err != nil {
		return 0, err
	}
	if t.names++; t.names > t.limit {
		return 0, fmt.Errorf("there are more than %d names", t.limit)
	}
	number, kind := v&(1<<48-1), uint32(v>>60) // ZFS_DIRENT_OBJ, ZFS_DIRENT_TYPE
	if err := t.addObject(fd, string(e.name), number, kind); err != nil {
		if errors.Is(err, os.ErrExist) {
			err = errors.New("the directory has two of that name")
		}
		return 0, fmt.Errorf("%q: %w", e.name, err)
	}
	if kind == unix.S_IFDIR>>12 {
		return number, nil
	}
	return 0, nil
}

// addObject gives an object a name in the directory fd. The types in directory
// entries are those of modes, by 12 bits lower (zfs_znode.h, IFTODT).
func (t *tree) addObject(fd int, name string, number uint64, kind uint32) error {
	o, n, err := t.node(number)
	if err != nil {
		return err
	}
	if n.kind()>>12 != kind {
		return objectError(number, fmt.Errorf("its name is of type %d, its mode is %o", kind, n.mode))
	}
	o.names++
	if n.kind() == unix.S_IFDIR {
		if o.names > 1 {
			return objectError(number, errors.New("the directory has a name already"))
		}
		return os.NewSyscallError("mkdir", unix.Mkdirat(fd, name, 0o700))
	}
	if uint64(o.names) > max(n.links, 1) {
		return objectError(number, fmt.Errorf("it has more names than its %d links", n.links))
	}
	return t.link(fd, name, o, n)
}
