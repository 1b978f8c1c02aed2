package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/tree"
)

// maxPieces bounds the entries of a directory that is split, each of which is a mount.
const maxPieces = 1024

// A piece is an entry of a directory that is split.
type piece struct {
	name string
	info os.FileInfo
}

// exchange unmounts all that is mounted below whole, has mount put something else in
// the place of whole, and mounts again what was below.
func (m mounts) exchange(ctx context.Context, root string, whole MountPoint, mount func() error) error {
	table, err := m.kernel.Mounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	var below []MountPoint
	var sources []source
	for _, p := range table {
		if !strings.HasPrefix(p.On, whole.On+"/") {
			continue
		}
		s, err := m.sourceOf(root, p)
		if err != nil {
			return err
		}
		below, sources = append(below, p), append(sources, s)
	}
	for _, p := range slices.Backward(below) {
		if err := m.unmount(ctx, p); err != nil {
			return err
		}
	}
	if err := mount(); err != nil {
		return err
	}
	for i, p := range below {
		if err := m.place(ctx, root, strings.TrimPrefix(p.On, root), sources[i]); err != nil {
			return err
		}
	}
	return nil
}

// replace mounts s in place of the mount on inside.
func (m mounts) replace(ctx context.Context, root, inside string, was MountPoint, s source) error {
	if err := m.unmount(ctx, was); err != nil {
		return err
	}
	return m.place(ctx, root, inside, s)
}

// sourceOf returns the source of a nullfs in the tree at root, to mount it again.
func (m mounts) sourceOf(root string, p MountPoint) (source, error) {
	inside := strings.TrimPrefix(p.On, root)
	f, err := m.open(root, inside)
	if err != nil {
		return source{}, fmt.Errorf("%s: %w", inside, err)
	}
	defer f.Close()
	info, err1 := f.Stat()
	at, err2 := m.kernel.StatFS(f)
	switch err := errors.Join(err1, err2); {
	case err != nil:
		return source{}, fmt.Errorf("%s: %w", inside, err)
	case at.ID != p.ID || at.Type != "nullfs":
		return source{}, fmt.Errorf("%s: what is mounted there cannot be mounted again: %s of %s", inside, p.Type, p.From)
	}
	return source{path: p.From, info: info, options: at.Options}, nil
}

// open opens a path of the tree at root, and follows no link.
func (m mounts) open(root, inside string) (*os.File, error) {
	f, err := tree.OpenSource(root, true)
	if err != nil {
		return nil, err
	}
	for _, name := range strings.FieldsFunc(inside, func(r rune) bool { return r == '/' }) {
		next, err := m.kernel.OpenAt(f, name)
		f.Close()
		if err != nil {
			return nil, err
		}
		f = next
	}
	return f, nil
}

// split mounts s on the path on, where it is seen already, through whole, in another
// way: read-only, or writable. The kernel refuses to cover a vnode with itself
// (sys/fs/nullfs/null_vfsops.c, nullfs_mount); by way of a third mount it can be done,
// and then spins for ever (sys/kern/vfs_vnops.c, vn_lock_pair). So an empty directory
// takes the place of whole, read-only, with all that was in whole mounted in it piece
// by piece, each with the options of whole.
func (m mounts) split(ctx context.Context, root string, whole MountPoint, on string, s source) error {
	skeleton, pieces, err := m.skeleton(root, whole)
	if err != nil {
		return err
	}
	if err := m.replace(ctx, root, strings.TrimPrefix(whole.On, root), whole, skeleton); err != nil {
		return err
	}
	for _, p := range pieces {
		at := filepath.Join(whole.On, p.name)
		if at == on {
			continue
		}
		of := source{path: filepath.Join(whole.From, p.name), info: p.info, options: whole.Options}
		if f, err := m.open("/", of.path); errors.Is(err, fs.ErrNotExist) {
			continue // another task has removed it
		} else if err == nil {
			f.Close()
		}
		if err := m.place(ctx, root, strings.TrimPrefix(at, root), of); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return m.place(ctx, root, strings.TrimPrefix(on, root), s)
}

// skeleton makes a directory with mount points for the entries of whole, and returns it
// with them. It copies the links of whole, which lead as far as they do from whole. Only
// directories, regular files and links are supported: nothing else can be mounted.
func (m mounts) skeleton(root string, whole MountPoint) (source, []piece, error) {
	dir, err := m.open(root, strings.TrimPrefix(whole.On, root))
	if err != nil {
		return source{}, nil, err
	}
	defer dir.Close()
	entries, err := readDir(dir)
	if err != nil {
		return source{}, nil, err
	}
	if len(entries) > maxPieces {
		return source{}, nil, fmt.Errorf("%s: has %d entries, and more than %d cannot be mounted one by one, "+
			"as a mount within a mount of it needs: mount one of them elsewhere", whole.From, len(entries), maxPieces)
	}
	path, r, err := newSkeleton(filepath.Dir(root), filepath.Base(whole.On))
	if err != nil {
		return source{}, nil, err
	}
	defer r.Close()
	var pieces []piece
	for _, e := range entries {
		p, err := m.mountPoint(r, dir, e)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, tree.ErrLink): // it has changed since
			continue
		case err != nil:
			return source{}, nil, err
		case p != nil:
			pieces = append(pieces, *p)
		}
	}
	if err := likeDir(r, dir); err != nil {
		return source{}, nil, err
	}
	f, s, err := m.source(path)
	if err != nil {
		return source{}, nil, err
	}
	s.options = union(s.options, "ro")
	return s, pieces, f.Close()
}

// newSkeleton makes an empty directory for a skeleton, below dir. The caller must close
// the root.
func newSkeleton(dir, name string) (string, *os.Root, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	if err := r.Mkdir(overlayDirs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", nil, err
	}
	for n := 1; ; n++ {
		at := filepath.Join(overlayDirs, name)
		if n > 1 {
			at += "." + strconv.Itoa(n)
		}
		err := r.Mkdir(at, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		made, err := r.OpenRoot(at)
		return filepath.Join(dir, at), made, err
	}
}

// mountPoint creates in r the mount point for an entry of dir, or copies a link. It returns nil
// if nothing must be mounted.
func (m mounts) mountPoint(r *os.Root, dir *os.File, e fs.DirEntry) (*piece, error) {
	if e.Type() == fs.ModeSymlink {
		text := make([]byte, 4096) // PATH_MAX is 1024 (sys/syslimits.h)
		n, err := unix.Readlinkat(int(dir.Fd()), e.Name(), text)
		if err != nil {
			return nil, err
		}
		return nil, r.Symlink(string(text[:n]), e.Name())
	}
	if !e.IsDir() && !e.Type().IsRegular() {
		return nil, nil
	}
	f, err := m.kernel.OpenAt(dir, e.Name())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &piece{e.Name(), info}, r.Mkdir(e.Name(), 0o755)
	}
	return &piece{e.Name(), info}, r.WriteFile(e.Name(), nil, 0o644)
}

// readDir returns the entries of a directory that is open for its path alone.
func readDir(dir *os.File) ([]fs.DirEntry, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir.Name(), Err: err}
	}
	f := os.NewFile(uintptr(fd), dir.Name())
	defer f.Close()
	return f.ReadDir(-1)
}

// likeDir gives r's directory the owner and the mode of dir: a user who may not list the one
// may not list the other.
func likeDir(r *os.Root, dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("internal error: stat has %T", info.Sys())
	}
	return errors.Join(r.Chown(".", int(is.Uid), int(is.Gid)), r.Chmod(".", info.Mode().Perm()))
}
