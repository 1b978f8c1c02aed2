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
	*zpl
	ctx     context.Context
	stagefd int
	omitted omissions
}

// omissions are what was left out of the trees: how often, by kind.
type omissions map[string]int64

// maxDepth bounds directories within directories: a descriptor is open on each.
const maxDepth = 512

// subdirectory is one that has a name, and is to be filled.
type subdirectory struct {
	name   string
	object uint64
}

// extract makes the tree in the directory at, which is empty but for stages, and
// returns what the directory itself is to become.
func (t *tree) extract(at *os.File) (root *znode, err error) {
	private, err := t.stage.files.Open(".")
	if err != nil {
		return nil, err
	}
	defer private.Close()
	t.stagefd = int(private.Fd())
	if root, err = t.rootDir(); err != nil {
		return nil, err
	}
	return root, t.extractDir(int(at.Fd()), subdirectory{object: t.root}, 0)
}

// extractDir makes what is in the directory d, open as fd. Its name is its path here.
// First come all its names; then, one after the other, what is in those that are
// directories, so that of the list no more is in memory than they are.
func (t *tree) extractDir(fd int, d subdirectory, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%q: more than %d directories deep", "/"+d.name, maxDepth)
	}
	z, err := t.stage.zap(d.object, typeDirectory)
	if err != nil {
		return fmt.Errorf("directory %q: %w", "/"+d.name, err)
	}
	var below []subdirectory
	err = z.each(func(e zapAttribute) error {
		dir, err := t.extractEntry(fd, e)
		if err == nil && dir != 0 {
			below = append(below, subdirectory{string(e.name), dir})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("directory %q: %w", "/"+d.name, err)
	}
	for _, sub := range below {
		if err := t.extractSubdir(fd, d.name, sub, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// extractSubdir fills a directory in the one that is open as fd, and then gives it
// what is its own.
func (t *tree) extractSubdir(fd int, path string, d subdirectory, depth int) error {
	sub, err := unix.Openat(fd, d.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(sub)
	if path != "" {
		d.name = path + "/" + d.name
	}
	if err := t.extractDir(sub, d, depth); err != nil {
		return err
	}
	_, n, err := t.znode(d.object)
	if err != nil {
		return err
	}
	if err := t.setMetadata(sub, ".", n); err != nil {
		return fmt.Errorf("directory %q: %w", "/"+d.name, err)
	}
	return nil
}

// extractEntry makes what an entry of the directory fd names. If that is a directory, it
// is empty yet, and its object is returned.
func (t *tree) extractEntry(fd int, e zapAttribute) (dir uint64, err error) {
	if t.ctx.Err() != nil {
		return 0, context.Cause(t.ctx)
	}
	name := string(e.name)
	if err := checkName(name, maxName); err != nil {
		return 0, err
	}
	o, n, err := t.resolveEntry(e)
	switch {
	case err != nil:
	case n.fileType() == unix.S_IFDIR:
		dir, err = o.number, os.NewSyscallError("mkdir", unix.Mkdirat(fd, name, 0o700))
	default:
		err = t.placeFile(fd, name, o, n)
	}
	if errors.Is(err, os.ErrExist) {
		err = errors.New("the directory has two of that name")
	}
	if err != nil {
		return 0, fmt.Errorf("%q: %w", e.name, err)
	}
	return dir, nil
}
