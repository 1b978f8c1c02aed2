package zstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"

	"golang.org/x/sys/unix"
)

// tree makes the directories and files of one dataset from its stage.
type tree struct {
	ctx            context.Context
	stage          *stage
	table          *attributeTable
	stagefd, topfd int

	placed map[uint64]bool   // objects that have a name by now
	linked map[uint64]string // where the first name is of those that may have more
	left   map[string]int    // what was left out, by kind
	names  int64
	buf    [0x10000]byte
}

// maxDepth bounds directories within directories: a descriptor is open on each.
const maxDepth = 512

// st_mode's types are the same numbers everywhere (stat(2)), and so are the
// types in directory entries (ZFS_DIRENT_TYPE, zfs_znode.h): the mode's, by 12
// bits lower.
func direntType(mode uint32) uint32 { return mode >> 12 }

// place makes the tree in dir, which is empty but for the stage.
func (s *stage) place(ctx context.Context, dir *os.Root, warn func(string)) (names int64, err error) {
	if err := s.closeContent(); err != nil {
		return 0, err
	}
	t := &tree{ctx: ctx, stage: s, placed: map[uint64]bool{}, linked: map[uint64]string{}, left: map[string]int{}}
	root, err := t.master()
	if err != nil {
		return 0, err
	}
	stagefd, err := descriptor(s.files)
	if err != nil {
		return 0, err
	}
	defer stagefd.Close()
	topfd, err := descriptor(dir)
	if err != nil {
		return 0, err
	}
	defer topfd.Close()
	t.stagefd, t.topfd = int(stagefd.Fd()), int(topfd.Fd())

	n, err := t.node(root)
	if err != nil {
		return 0, err
	}
	if n.mode&unix.S_IFMT != unix.S_IFDIR {
		return 0, fmt.Errorf("object %d, the root, is no directory", root)
	}
	t.placed[root] = true
	if err := t.fill(t.topfd, root, "", 0); err != nil {
		return 0, err
	}
	if err := t.finish(t.topfd, ".", n); err != nil {
		return 0, err
	}
	kinds := make([]string, 0, len(t.left))
	for kind, count := range t.left {
		kinds = append(kinds, fmt.Sprintf("%s are left out: %d files have them", kind, count))
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		warn(k)
	}
	return t.names, nil
}

// descriptor opens the directory of root itself.
func descriptor(root *os.Root) (*os.File, error) { return root.Open(".") }

// masterNode is MASTER_NODE_OBJ (zfs_znode.h).
const masterNode = 1

// zplVersion is the one with system attributes, ZPL_VERSION_SA (zfs.h).
const zplVersion = 5

// master reads the master node: where the root is, and how attributes are laid out.
func (t *tree) master() (root uint64, err error) {
	m, err := t.values(masterNode)
	if err != nil {
		return 0, fmt.Errorf("master node: %w", err)
	}
	if v := m["VERSION"]; v != zplVersion {
		return 0, fmt.Errorf("ZPL version %d is not supported yet: only %d", v, zplVersion)
	}
	sa, err := t.values(m["SA_ATTRS"])
	if err != nil {
		return 0, fmt.Errorf("attributes: %w", err)
	}
	registry, done, err := t.stage.zap(sa["REGISTRY"])
	if err != nil {
		return 0, fmt.Errorf("attribute registry: %w", err)
	}
	defer done()
	layouts, done, err := t.stage.zap(sa["LAYOUTS"])
	if err != nil {
		return 0, fmt.Errorf("attribute layouts: %w", err)
	}
	defer done()
	if t.table, err = newAttributeTable(registry, layouts); err != nil {
		return 0, err
	}
	return m["ROOT"], nil
}

// values are the single numbers in a small ZAP.
func (t *tree) values(object uint64) (map[string]uint64, error) {
	z, done, err := t.stage.zap(object)
	if err != nil {
		return nil, err
	}
	defer done()
	m := map[string]uint64{}
	err = z.each(func(e entry) error {
		if len(m) > 1000 {
			return fmt.Errorf("object %d: more entries than it can have", object)
		}
		if len(e.value) == 1 {
			m[e.name] = e.value[0]
		}
		return nil
	})
	return m, err
}

// node reads the attributes of an object.
func (t *tree) node(number uint64) (*node, error) {
	o, err := t.stage.find(number)
	if err != nil {
		return nil, err
	}
	n := &node{}
	for _, e := range []extent{o.bonus, o.spill} {
		if e.len == 0 {
			continue
		}
		buf, err := t.stage.attributes(e, t.buf[:])
		if err != nil {
			return nil, err
		}
		if err := t.table.each(buf, n.set); err != nil {
			return nil, fmt.Errorf("object %d: %w", number, err)
		}
	}
	if isDir := n.mode&unix.S_IFMT == unix.S_IFDIR; isDir != (o.typ == typeDirectory) {
		return nil, fmt.Errorf("object %d of type %d has mode %o", number, o.typ, n.mode)
	}
	return n, nil
}

// dirent is a name in a directory, and what it names.
type dirent struct {
	name   string
	object uint64
	typ    uint32
}

// list reads a directory, sorted by name.
func (t *tree) list(object uint64) ([]dirent, error) {
	if o, err := t.stage.find(object); err != nil || !o.data {
		return nil, errors.Join(err, fmt.Errorf("directory object %d is empty", object))
	}
	z, done, err := t.stage.zap(object)
	if err != nil {
		return nil, err
	}
	defer done()
	var all []dirent
	err = z.each(func(e entry) error {
		if len(e.value) != 1 {
			return fmt.Errorf("%q: no entry of a directory", e.name)
		}
		if err := checkName(e.name); err != nil {
			return err
		}
		v := e.value[0] // ZFS_DIRENT_OBJ, ZFS_DIRENT_TYPE
		all = append(all, dirent{e.name, v & (1<<48 - 1), uint32(v >> 60)})
		if len(all) > len(t.stage.objects)*64+1024 {
			return fmt.Errorf("directory object %d has more names than there can be files", object)
		}
		return nil
	})
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all, err
}

// fill makes what is in a directory, which is open as fd and known as path.
func (t *tree) fill(fd int, object uint64, path string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%q: more than %d directories deep", path, maxDepth)
	}
	if err := t.ctx.Err(); err != nil {
		return context.Cause(t.ctx)
	}
	entries, err := t.list(object)
	if err != nil {
		return fmt.Errorf("directory %q: %w", "/"+path, err)
	}
	for _, e := range entries {
		at := e.name
		if path != "" {
			at = path + "/" + e.name
		}
		if err := t.make(fd, e, at, depth); err != nil {
			return fmt.Errorf("%q: %w", "/"+at, err)
		}
		t.names++
	}
	return nil
}

// make makes what a name names: a new file, or one more link to one.
func (t *tree) make(fd int, e dirent, path string, depth int) error {
	n, err := t.node(e.object)
	if err != nil {
		return err
	}
	if direntType(n.mode) != e.typ {
		return fmt.Errorf("its name says type %d, its mode is %o", e.typ, n.mode)
	}
	if t.placed[e.object] {
		return t.link(fd, e, n)
	}
	t.placed[e.object] = true
	if n.links > 1 && e.typ != unix.S_IFDIR>>12 {
		t.linked[e.object] = path
	}
	if err := t.create(fd, e, n, path, depth); err != nil {
		return err
	}
	return t.finish(fd, e.name, n)
}

// link gives a file that has a name another.
func (t *tree) link(fd int, e dirent, n *node) error {
	first, ok := t.linked[e.object]
	if !ok {
		return fmt.Errorf("object %d has a name already, and is to have one alone", e.object)
	}
	return os.NewSyscallError("link", unix.Linkat(t.topfd, first, fd, e.name, 0))
}

// create makes a new file of any kind. Its owner, mode and times are not yet its own.
func (t *tree) create(fd int, e dirent, n *node, path string, depth int) error {
	switch n.mode & unix.S_IFMT {
	case unix.S_IFREG:
		return t.createFile(fd, e, n)
	case unix.S_IFLNK:
		return t.createLink(fd, e, n)
	case unix.S_IFDIR:
		if err := unix.Mkdirat(fd, e.name, 0o700); err != nil {
			return os.NewSyscallError("mkdir", err)
		}
		sub, err := unix.Openat(fd, e.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("open", err)
		}
		defer unix.Close(sub)
		return t.fill(sub, e.object, path, depth+1)
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
		err := mknod(fd, e.name, n.mode&unix.S_IFMT|0o600, n.rdev)
		return os.NewSyscallError("mknod", err)
	}
	return fmt.Errorf("no such kind of file: mode %o", n.mode)
}

// createFile gives staged content its name and its size.
func (t *tree) createFile(fd int, e dirent, n *node) error {
	o := t.stage.objects[e.object]
	if !o.data {
		new, err := unix.Openat(fd, e.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return os.NewSyscallError("create", err)
		}
		defer unix.Close(new)
		if n.size == 0 {
			return nil
		}
		return os.NewSyscallError("truncate", unix.Ftruncate(new, n.size))
	}
	staged := contentName(e.object)
	if o.size != n.size { // content comes in whole blocks
		f, err := unix.Openat(t.stagefd, staged, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("open", err)
		}
		err = unix.Ftruncate(f, n.size)
		unix.Close(f)
		if err != nil {
			return os.NewSyscallError("truncate", err)
		}
	}
	// Not rename(2), which would take the place of what has the name already.
	if err := unix.Linkat(t.stagefd, staged, fd, e.name, 0); err != nil {
		return os.NewSyscallError("link", err)
	}
	return os.NewSyscallError("unlink", unix.Unlinkat(t.stagefd, staged, 0))
}

// maxLink bounds a link's target, PATH_MAX of both systems.
const maxLink = 4096

// createLink makes a symbolic link; a long target is its content.
func (t *tree) createLink(fd int, e dirent, n *node) error {
	target := n.symlink
	if target == nil {
		if n.size > maxLink {
			return fmt.Errorf("a link to %d bytes, more than %d", n.size, maxLink)
		}
		f, err := t.stage.files.Open(contentName(e.object))
		if err != nil {
			return fmt.Errorf("a link without a target: %w", err)
		}
		defer f.Close()
		target = make([]byte, n.size)
		if _, err := io.ReadFull(f, target); err != nil {
			return fmt.Errorf("a link's target: %w", cut(err))
		}
	}
	if int64(len(target)) > n.size {
		target = target[:n.size]
	}
	return os.NewSyscallError("symlink", unix.Symlinkat(string(target), fd, e.name))
}

// finish gives what is at name in fd its owner, mode and times, and takes down
// what could not be given.
func (t *tree) finish(fd int, name string, n *node) error {
	err := unix.Fchownat(fd, name, int(n.uid), int(n.gid), unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		t.left["owners, for want of root,"]++
		err = nil
	}
	if err != nil {
		return os.NewSyscallError("chown", err)
	}
	if n.mode&unix.S_IFMT != unix.S_IFLNK {
		// Nobody else is in the tree yet: what was no link a moment ago is none.
		if err := unix.Fchmodat(fd, name, n.mode&0o7777, 0); err != nil {
			return os.NewSyscallError("chmod", err)
		}
	}
	times := []unix.Timespec{timespec(n.atime), timespec(n.mtime)}
	if err := unix.UtimesNanoAt(fd, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return os.NewSyscallError("utimensat", err)
	}
	if n.flags&aclTrivial == 0 {
		t.left["access control lists"]++
	}
	if n.flags&fileFlags != 0 {
		t.left["file flags"]++
	}
	if n.xattrs {
		t.left["extended attributes"]++
	}
	return nil
}
