package freebsd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// systems mounts devfs, and fdescfs and procfs if the jail has them, in order. fdescfs is
// mounted on a directory of devfs, and so after it.
func (m mounts) systems(ctx context.Context, root string, a conf.Attributes) error {
	if err := m.devfs(ctx, root, a.Value("devfs_ruleset")); err != nil {
		return fmt.Errorf("/dev: %w", err)
	}
	for _, s := range []struct{ attribute, target string }{{"fdescfs", "/dev/fd"}, {"procfs", "/proc"}} {
		if !a.On(s.attribute) {
			continue
		}
		if err := m.system(ctx, root, s.target, s.attribute); err != nil {
			return fmt.Errorf("%s: %w", s.target, err)
		}
	}
	return nil
}

// unmountSystems unmounts what systems has mounted, all or some of it. fdescfs goes before
// the devfs that it is on: unmountIf begins with the newest.
func (m mounts) unmountSystems(ctx context.Context, root string) error {
	return m.unmountIf(ctx, func(p MountPoint) bool {
		switch p.Type {
		case "devfs", "fdescfs", "procfs":
			return p.On == root+"/dev" || p.On == root+"/dev/fd" || p.On == root+"/proc"
		}
		return false
	})
}

// system mounts devfs, fdescfs or procfs at the path inside of the jail.
func (m mounts) system(ctx context.Context, root, inside, kind string, options ...string) error {
	t, err := m.plainTarget(root, inside)
	if err != nil {
		return err
	}
	defer t.Close()
	return m.nmount(ctx, root, t, MountPoint{Type: kind, From: kind, On: t.Path}, options...)
}

// tmpfs mounts a new file system in memory. Without a mode it would have the mount point's
// (tmpfs(5)), which an image may have as 0755.
func (m mounts) tmpfs(ctx context.Context, root, inside string) error {
	t, err := m.target(root, inside, true)
	if err != nil {
		return err
	}
	defer t.Close()
	return m.nmount(ctx, root, t, MountPoint{Type: "tmpfs", From: "tmpfs", On: t.Path}, "mode=1777")
}

// devfs mounts what a jail may see of /dev. With a missing ruleset the kernel
// would show all of it, without an error.
func (m mounts) devfs(ctx context.Context, root, rules string) error {
	if err := m.system(ctx, root, "/dev", "devfs", "ruleset="+rules); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(root, "dev", "mem")); err == nil {
		err = fmt.Errorf("devfs ruleset %s is not there, the jail would see all of /dev: service devfs restart", rules)
		return errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return m.unmountSystems(ctx, root) }))
	}
	return nil
}
