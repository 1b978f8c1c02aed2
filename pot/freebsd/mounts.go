package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// mounts are nullfs's, and of file systems in memory.
type mounts struct {
	runner run.Runner
	kernel Kernel
}

// Mount is pot.Mounts'. Like any nullfs, it shows what is in the source's own
// file system, not what is mounted below it. Files can be mounted since FreeBSD
// 14.0.
func (m mounts) Mount(ctx context.Context, root string, what pot.Mount) error {
	if what.Source == "" {
		return m.system(root, what.Target, "tmpfs", "mode=1777")
	}
	f, err := pot.OpenSource(what.Source, what.Resolved)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer f.Close() // until then its number is nobody else's
	source, err := f.Stat()
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	on, err := target(root, what.Target, source.IsDir())
	if err != nil {
		return fmt.Errorf("target %w", err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err = m.nullfs(what.Source, on, what.ReadOnly)
	if errors.Is(err, syscall.EDEADLK) {
		err = m.split(ctx, root, what, on)
	}
	if err != nil || !what.Resolved {
		return err
	}
	// nmount(2) takes a path, and follows links: what is seen now is looked at.
	seen, err := os.Lstat(on)
	if err == nil && !sameBelow(source, seen) {
		err = fmt.Errorf("source: %s: %w", what.Source, pot.ErrLink)
	}
	if err != nil {
		point := MountPoint{Type: "nullfs", From: what.Source, On: on}
		return errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error {
			return m.unmountIf(ctx, func(p MountPoint) bool { return p.On == point.On })
		}))
	}
	return nil
}

// skeletons hold the mount points of directories that were split; they are beside
// a pot's tree.
const skeletons = "skeletons"

// split shows what is seen at on already, through the mount of the directory above
// it, in another way: read-only. The kernel refuses to cover a vnode with itself
// (sys/fs/nullfs/null_vfsops.c, nullfs_mount); by way of a third mount it can be
// had, and then spins for ever (sys/kern/vfs_vnops.c, vn_lock_pair). So the
// directory above becomes an empty one, read-only, with all that was in it mounted
// in it piece by piece.
func (m mounts) split(ctx context.Context, root string, what pot.Mount, on string) error {
	whole, err := m.mountedAbove(what.Source, on)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(whole.From)
	if err != nil {
		return err
	}
	skeleton := filepath.Join(filepath.Dir(root), skeletons, filepath.Base(whole.On))
	if err := os.MkdirAll(skeleton, 0o755); err != nil {
		return err
	}
	r, err := os.OpenRoot(skeleton)
	if err != nil {
		return err
	}
	defer r.Close()
	var parts []string
	for _, e := range entries {
		if !e.IsDir() && !e.Type().IsRegular() {
			continue // a link could lead anywhere
		}
		if err := step(r, e.Name(), e.IsDir()); err != nil {
			return err
		}
		parts = append(parts, e.Name())
	}
	if err := m.unmount(ctx, whole); err != nil {
		return err
	}
	if err := m.nullfs(skeleton, whole.On, true); err != nil {
		return err
	}
	for _, name := range parts {
		at := filepath.Join(whole.On, name)
		if err := m.nullfs(filepath.Join(whole.From, name), at, at == on && what.ReadOnly); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// mountedAbove is the nullfs through which source is seen at on: that of the
// directory that it is in.
func (m mounts) mountedAbove(source, on string) (MountPoint, error) {
	table, err := m.kernel.Mounts()
	if err != nil {
		return MountPoint{}, fmt.Errorf("read mounts: %w", err)
	}
	for i := len(table) - 1; i >= 0; i-- {
		if p := table[i]; p.Type == "nullfs" && p.On == filepath.Dir(on) && p.From == filepath.Dir(source) {
			return p, nil
		}
	}
	return MountPoint{}, errors.New("it is seen there already, through the mount of a directory above it: mount one of them elsewhere")
}

// target makes what is to be mounted on in a tree that is not trusted, through
// no link, and returns its path. Nothing runs in the tree yet that could change
// it before it is mounted on.
func target(root, inside string, isDir bool) (string, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return "", err
	}
	defer r.Close()
	names := strings.Split(strings.Trim(path.Clean(inside), "/"), "/")
	for i := range names {
		at := strings.Join(names[:i+1], "/")
		if err := step(r, at, isDir || i < len(names)-1); err != nil {
			return "", fmt.Errorf("/%s: %w", at, err)
		}
	}
	return filepath.Join(root, path.Join(names...)), nil
}

// step makes one name, unless it is there as what it is to be.
func step(r *os.Root, at string, isDir bool) error {
	info, err := r.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isDir:
		return r.Mkdir(at, 0o755)
	case errors.Is(err, fs.ErrNotExist):
		f, err := r.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	case err != nil:
		return err
	case info.Mode().Type() == fs.ModeSymlink:
		return errors.New("is a link in the image: mounts follow none")
	case info.IsDir() != isDir, !isDir && !info.Mode().IsRegular():
		return errors.New("is something else in the image than what is to be mounted on it")
	}
	return nil
}

// nullfs shows a directory or a file in another place.
func (m mounts) nullfs(from, on string, readOnly bool) error {
	point := MountPoint{Type: "nullfs", From: from, On: on}
	if readOnly {
		return m.kernel.Mount(point, "ro")
	}
	return m.kernel.Mount(point)
}

// UnmountAll is pot.Mounts'. It is forced: nothing runs in the pot any more.
func (m mounts) UnmountAll(ctx context.Context, root string) error {
	return m.unmountIf(ctx, func(p MountPoint) bool { return strings.HasPrefix(p.On, root+"/") })
}

// unmountIf unmounts what is to go, the newest first.
func (m mounts) unmountIf(ctx context.Context, goes func(MountPoint) bool) error {
	table, err := m.kernel.Mounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for _, p := range slices.Backward(table) {
		if !goes(p) {
			continue
		}
		if err := m.unmount(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// unmount unmounts one. What is not mounted is no error.
func (m mounts) unmount(ctx context.Context, p MountPoint) error {
	return whileBusy(ctx, func() error { return unless(fs.ErrNotExist, m.kernel.Unmount(p)) })
}
