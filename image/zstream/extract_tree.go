package zstream

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tree creates the files of one dataset from its stage. A file gets its content and
// metadata in the stage, which nobody else can enter, and then its name; a directory is
// accessible to its owner only until it is complete.
type tree struct {
	*zpl
	ctx     context.Context
	stagefd int
	omitted omissions
}

// omissions counts omitted metadata by kind.
type omissions map[string]int64

// maxDepth bounds the nesting of directories: a descriptor is open for each level.
const maxDepth = 512

// subdirectory is a created directory whose entries are still missing.
type subdirectory struct {
	name   string
	object uint64
}

// extract creates the tree in the directory at, which is empty except for stages, and
// returns the root's attributes, which the caller sets last.
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

// extractDir creates the entries of directory d, open as fd; d.name is its path. It
// creates all names before it enters the first subdirectory, so it keeps only the
// subdirectories of a directory in memory.
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

// extractSubdir fills a subdirectory of fd and then sets its metadata: its mode may deny
// writing, and creating entries changes its times.
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

// extractEntry creates the file of a directory entry. For a directory, which is still
// empty, it returns the object.
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
