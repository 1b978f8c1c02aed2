//go:build linux

package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// mounts implements pot.Mounts by bind mounts.
type mounts struct{}

// Mount implements pot.Mounts.Mount. As nullfs does, it shows the source's file system
// without other mounts below the source.
func (mounts) Mount(ctx context.Context, root string, m pot.Mount) error {
	if m.Source == "" {
		return inMemory(root, m.Target)
	}
	source, err := tree.OpenSource(m.Source, m.Resolved)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	t, err := tree.OpenTarget(root, m.Target, info.IsDir(), tree.OpenAt)
	if err != nil {
		return fmt.Errorf("target %w", err)
	}
	defer t.Close()
	return bind(source, t.File, m.ReadOnly)
}

// bind mounts source on target. It resolves no path, so a file that is swapped meanwhile
// has no effect.
func bind(source, target *os.File, readOnly bool) error {
	tree, err := unix.OpenTree(int(source.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	var of unix.Statfs_t
	if err := unix.Fstatfs(tree, &of); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	flags := bindFlags(of.Flags)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	err = unix.MoveMount(tree, "", int(target.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	err = os.NewSyscallError("remount", unix.Mount("", fdPath(tree), "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""))
	if err == nil {
		// A mount that shares events with the source's would propagate to the host what is
		// mounted below it in the pot (mount_namespaces(7)).
		err = os.NewSyscallError("make mount private", unix.Mount("", fdPath(tree), "", unix.MS_PRIVATE, ""))
	}
	if err != nil {
		return errors.Join(err, os.NewSyscallError("umount", unix.Unmount(fdPath(tree), unix.MNT_DETACH)))
	}
	return nil
}

// bindFlags returns the flags of mount(2) for a bind mount of a file system with the flags
// of statfs(2). A remount sets all flags: restrictions of the source's mount must stay.
func bindFlags(of int64) uintptr {
	flags := uintptr(unix.MS_NODEV)
	for _, f := range []struct {
		statfs int64
		mount  uintptr
	}{
		{unix.ST_RDONLY, unix.MS_RDONLY}, {unix.ST_NOSUID, unix.MS_NOSUID}, {unix.ST_NOEXEC, unix.MS_NOEXEC},
		{unix.ST_NOATIME, unix.MS_NOATIME}, {unix.ST_NODIRATIME, unix.MS_NODIRATIME}, {unix.ST_RELATIME, unix.MS_RELATIME},
		{stNoSymfollow, msNoSymfollow},
	} {
		if of&f.statfs != 0 {
			flags |= f.mount
		}
	}
	return flags
}

// Flags of mounts on which symbolic links are not followed. (statfs(2); Linux 5.10
// include/linux/statfs.h, include/uapi/linux/mount.h)
const (
	stNoSymfollow = 0x2000
	msNoSymfollow = 0x100
)

// inMemory mounts a tmpfs on a directory of the tree.
func inMemory(root, inside string) error {
	t, err := tree.OpenTarget(root, inside, true, tree.OpenAt)
	if err != nil {
		return fmt.Errorf("target %w", err)
	}
	defer t.Close()
	err = unix.Mount("tmpfs", fdPath(int(t.File.Fd())), "tmpfs", unix.MS_NODEV, "mode=1777")
	return os.NewSyscallError("mount", err)
}

// fdPath returns a path of a descriptor's file, for system calls that take only paths.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// UnmountAll implements pot.Mounts.UnmountAll.
func (mounts) UnmountAll(ctx context.Context, root string) error {
	all, err := mountsBelow(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, on := range all {
		if on.below != "" {
			errs = append(errs, on.unmount(ctx, busyTimeout))
		}
	}
	return errors.Join(errs...)
}

// A mountPoint is a mount point in the tree root, a path without symbolic links. below is
// relative to root, "" for root itself.
type mountPoint struct{ root, below string }

// mountsBelow returns the mount points on and below dir, the newest first.
func mountsBelow(dir string) ([]mountPoint, error) {
	root, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := mountinfo.GetMounts(mountinfo.PrefixFilter(root))
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	var all []mountPoint
	for _, m := range slices.Backward(found) {
		below := strings.TrimPrefix(strings.TrimPrefix(m.Mountpoint, root), "/")
		all = append(all, mountPoint{root, below})
	}
	return all, nil
}

// mountedBelow returns the paths of the mount points on and below dir for an error, "" if
// there is none.
func mountedBelow(dir string) (string, error) {
	all, err := mountsBelow(dir)
	var paths []string
	for _, on := range all {
		paths = append(paths, filepath.Join(on.root, on.below))
	}
	return strings.Join(paths, ", "), err
}

// unmount unmounts p and waits, at most within, while it is busy. It returns nil if nothing
// is mounted there. It returns an error if a directory below root was replaced by a link:
// another mount is behind it.
func (p mountPoint) unmount(ctx context.Context, within time.Duration) error {
	dir, base := filepath.Split(filepath.Join(p.root, p.below))
	if p.below == "" {
		return unmount(ctx, dir+base, within)
	}
	parent, err := tree.OpenSource(dir, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	return unmount(ctx, filepath.Join(fdPath(int(parent.Fd())), base), within)
}

// unmount unmounts path and waits, at most within, while it is busy. It returns nil if
// nothing is mounted there.
func unmount(ctx context.Context, path string, within time.Duration) error {
	deadline := time.Now().Add(within)
	for pause := time.Millisecond; ; pause *= 2 {
		err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil, errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, unix.EBUSY) || time.Now().After(deadline):
			return &os.PathError{Op: "unmount", Path: path, Err: err}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
