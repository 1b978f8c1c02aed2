//go:build linux

package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
)

// mounts are bind mounts.
type mounts struct{}

// Mount is pot.Mounts'. Like nullfs, it shows what is in the source's own file
// system, not what is mounted below it.
func (mounts) Mount(ctx context.Context, root string, m pot.Mount) error {
	if m.Source == "" {
		return inMemory(root, m.Target)
	}
	source, err := pot.OpenSource(m.Source, m.Resolved)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	t := target{isDir: info.IsDir()}
	if err := t.open(root, m.Target); err != nil {
		return err
	}
	defer t.close()

	if err := unix.Mount(fdPath(int(source.Fd())), fdPath(t.fd), "", unix.MS_BIND, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	// t.fd is what the mount now hides: the mount itself is found by its name.
	on, err := unix.Openat(t.parent, t.base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(on)
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_NODEV)
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("", fdPath(on), "", flags, ""); err != nil {
		err = os.NewSyscallError("remount", err)
		return errors.Join(err, unix.Unmount(fdPath(on), unix.MNT_DETACH))
	}
	return nil
}

// inMemory mounts a new file system on a directory of a tree.
func inMemory(root, inside string) error {
	t := target{isDir: true}
	if err := t.open(root, inside); err != nil {
		return err
	}
	defer t.close()
	err := unix.Mount("tmpfs", fdPath(t.fd), "tmpfs", unix.MS_NODEV, "mode=1777")
	return os.NewSyscallError("mount", err)
}

// fdPath names what a descriptor is open on, for calls that take only paths.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// target is a place in a tree that is not trusted.
type target struct {
	isDir  bool // what it is to be
	parent int
	base   string
	fd     int
}

// open walks down to path, one name at a time and through no link, making what
// is missing.
func (t *target) open(root, path string) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: root, Err: err}
	}
	names := strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	for i, name := range names {
		last := i == len(names)-1
		fd, err := step(dir, name, t.isDir || !last)
		if err != nil {
			unix.Close(dir)
			return fmt.Errorf("target %s: %w", "/"+strings.Join(names[:i+1], "/"), err)
		}
		if last {
			t.parent, t.base, t.fd = dir, name, fd
			return nil
		}
		unix.Close(dir)
		dir = fd
	}
	return fmt.Errorf("target %q: internal error: no names in it", path)
}

func (t *target) close() {
	unix.Close(t.fd)
	unix.Close(t.parent)
}

// step opens name in dir, as what it must be, and makes it if it is missing.
func step(dir int, name string, isDir bool) (int, error) {
	if name == "" || name == ".." {
		return -1, fmt.Errorf("not a name: %q", name)
	}
	var err error
	if isDir {
		err = unix.Mkdirat(dir, name, 0o755)
	} else {
		var fd int
		fd, err = unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
		if err == nil {
			unix.Close(fd)
		}
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		switch kind := st.Mode & unix.S_IFMT; {
		case kind == unix.S_IFLNK:
			err = errors.New("is a link in the image: mounts follow none")
		case isDir != (kind == unix.S_IFDIR), !isDir && kind != unix.S_IFREG:
			err = errors.New("is something else in the image than what is to be mounted on it")
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// UnmountAll is pot.Mounts'.
func (mounts) UnmountAll(ctx context.Context, root string) error {
	all, err := mountsBelow(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, on := range all {
		if on != root {
			errs = append(errs, unmount(ctx, on, busyWithin))
		}
	}
	return errors.Join(errs...)
}

// mountsBelow are the mount points on and below dir, the newest first.
func mountsBelow(dir string) ([]string, error) {
	found, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	var all []string
	for i := len(found) - 1; i >= 0; i-- {
		all = append(all, found[i].Mountpoint)
	}
	return all, nil
}

// unmount unmounts what is mounted on path, waiting for what is busy. A path
// with nothing on it is no error, nor is none.
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
