package freebsd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nomad-driver-pot/pot"
)

// systems mounts the file systems of the kernel's that a jail has, in order.
func (m mounts) systems(ctx context.Context, root string, a pot.Attributes) error {
	if err := m.devfs(ctx, root, a.Value("devfs_ruleset")); err != nil {
		return fmt.Errorf("/dev: %w", err)
	}
	for _, s := range []struct{ attribute, target string }{{"fdescfs", "/dev/fd"}, {"procfs", "/proc"}} {
		if !a.On(s.attribute) {
			continue
		}
		if err := m.system(ctx, root, s.target, s.attribute, ""); err != nil {
			return fmt.Errorf("%s: %w", s.target, err)
		}
	}
	return nil
}

// umountSystems takes away what systems has mounted, all or some of it.
func (m mounts) umountSystems(ctx context.Context, root string) error {
	table, err := m.kernel.Mounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	var on []string
	for i := len(table) - 1; i >= 0; i-- {
		switch p := table[i]; {
		case p.Type != "devfs" && p.Type != "fdescfs" && p.Type != "procfs":
		case p.On == root+"/dev", p.On == root+"/dev/fd", p.On == root+"/proc":
			on = append(on, p.On)
		}
	}
	if len(on) == 0 {
		return nil
	}
	return m.umount(ctx, on...)
}

// system mounts a file system that has no source.
func (m mounts) system(ctx context.Context, root, inside, kind, options string) error {
	on, err := target(root, inside, true)
	if err != nil {
		return err
	}
	argv := []string{"mount", "-t", kind}
	if options != "" {
		argv = append(argv, "-o", options)
	}
	_, err = m.runner.Run(ctx, nil, append(argv, kind, on)...)
	return typed(err)
}

// devfs mounts what a jail may see of /dev. A ruleset that is not there would
// show all of it, and mount(8) would not say so.
func (m mounts) devfs(ctx context.Context, root, rules string) error {
	if err := m.system(ctx, root, "/dev", "devfs", "ruleset="+rules); err != nil {
		return err
	}
	on := filepath.Join(root, "dev")
	if _, err := os.Lstat(filepath.Join(on, "mem")); err == nil {
		err = fmt.Errorf("devfs ruleset %s is not there, the jail would see all of /dev: service devfs restart", rules)
		return errors.Join(err, m.umount(context.WithoutCancel(ctx), on))
	}
	return nil
}
