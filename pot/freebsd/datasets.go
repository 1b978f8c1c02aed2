package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/run"
)

// datasets implements pot.Images and pot.Cloner with ZFS. Names are relative to ZFSRoot/jails.
type datasets struct {
	runner run.Runner
	zfs    zfs.Commands
	kernel MountKernel
	root   string

	newestOf sync.Map // name of an image to newestKnown
}

// labelPrefix begins the user properties (zfsprops(7)) that are labels.
const labelPrefix = "nomad.pot:"

// names are the names that a pot's dataset may have: one part of a path, of fewer characters
// than zfs(8) accepts.
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$`)

func valid(name string) error {
	if !names.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("invalid name of a dataset: %.300q", name)
	}
	return nil
}

func (d *datasets) path(name string) string { return d.root + "/jails/" + name }

// undo destroys a dataset that is incomplete. It runs even if ctx has ended.
func (d *datasets) undo(ctx context.Context, name string) error {
	return pot.Undo(ctx, func(ctx context.Context) error { return d.Destroy(ctx, name) })
}

// mount mounts an image and its tree, as the shell tool has them. It
// returns nil for what is mounted already.
func (d *datasets) mount(ctx context.Context, name string) error {
	for _, dataset := range []string{d.path(name), d.path(name) + "/m"} {
		if err := d.zfs.Mount(ctx, dataset); err != nil {
			return err
		}
	}
	return nil
}

// Clone implements pot.Cloner. It clones the newest snapshot of the image. A quota
// limits what is written in the tree and beside it (zfsprops(7), quota); the image's own
// blocks do not count.
func (d *datasets) Clone(ctx context.Context, c pot.Clone) (dir string, err error) {
	if err := errors.Join(valid(c.Origin), valid(c.Name)); err != nil {
		return "", err
	}
	properties := map[string]string{}
	maps.Copy(properties, c.Labels)
	if c.QuotaBytes > 0 {
		properties["quota"] = strconv.FormatInt(c.QuotaBytes, 10)
	}
	// The pot's own dataset is new and not a clone: conf of the image, with its hooks and
	// mounts, must not come along. It has the labels from its creation on, so that a crash
	// leaves nothing that cannot be found.
	if err = d.zfs.Create(ctx, d.path(c.Name), properties); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.undo(ctx, c.Name))
		}
	}()
	if err := d.cloneTree(ctx, c); err != nil {
		return "", err
	}
	if dir, err = d.place(c.Name); err != nil {
		return "", err
	}
	return dir, os.Mkdir(filepath.Join(dir, "conf"), 0o755)
}

// cloneTree clones an image's tree. zfs clone needs the name of a snapshot; knownNewest
// saves the command that lists them.
func (d *datasets) cloneTree(ctx context.Context, c pot.Clone) error {
	image, name := c.Origin, c.Name
	if c.Snapshot != "" {
		if err := valid(c.Snapshot); err != nil {
			return err
		}
		return d.zfs.Clone(ctx, d.path(image)+"/m@"+c.Snapshot, d.path(name)+"/m")
	}
	snapshot, found := d.knownNewest(image)
	if found {
		err := d.zfs.Clone(ctx, snapshot, d.path(name)+"/m")
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	snapshot, err := d.newest(ctx, image)
	if err != nil {
		return fmt.Errorf("image %s: %w", image, err)
	}
	return d.zfs.Clone(ctx, snapshot, d.path(name)+"/m")
}

// place returns where a pot's dataset is mounted, from the mount table: that takes no
// command.
func (d *datasets) place(name string) (string, error) { return d.mountpoint(d.path(name)) }

// mountpoint returns where a dataset of that whole name is mounted.
func (d *datasets) mountpoint(dataset string) (string, error) {
	table, err := d.kernel.Mounts()
	if err != nil {
		return "", fmt.Errorf("read mounts: %w", err)
	}
	for _, m := range table {
		if m.Type == "zfs" && m.From == dataset {
			return m.On, nil
		}
	}
	return "", &fs.PathError{Op: "find", Path: dataset, Err: fs.ErrNotExist}
}

// Dir implements pot.Cloner. It mounts a dataset that is not mounted, as after a
// reboot without zfs mount -a.
func (d *datasets) Dir(ctx context.Context, name string) (string, error) {
	if err := valid(name); err != nil {
		return "", err
	}
	dir, err := d.place(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := d.mount(ctx, name); err != nil {
		return "", err
	}
	return d.place(name)
}

// Destroy implements pot.Cloner and pot.Receiver. It is forced, as a jail may
// use its tree for a moment after its removal; so it checks for other mounts first.
func (d *datasets) Destroy(ctx context.Context, name string) error {
	if err := valid(name); err != nil {
		return err
	}
	if err := d.notMountedOn(name); err != nil {
		return err
	}
	d.newestOf.Delete(name)
	return retryBusy(ctx, func() error {
		err := d.zfs.Destroy(ctx, d.path(name))
		if zfs.IsHeld(err) {
			err = d.releaseImport(ctx, name, err)
		}
		return ignore(fs.ErrNotExist, err)
	})
}

// notMountedOn returns an error if anything but the dataset and its children is mounted
// in it.
func (d *datasets) notMountedOn(name string) error {
	dir, err := d.place(name)
	if err != nil {
		return ignore(fs.ErrNotExist, err)
	}
	table, err := d.kernel.Mounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for _, m := range table {
		own := m.Type == "zfs" && (m.From == d.path(name) || strings.HasPrefix(m.From, d.path(name)+"/"))
		if !own && strings.HasPrefix(m.On, dir+"/") {
			return fmt.Errorf("destroy %s: still mounted in it: %s on %s", d.path(name), m.From, m.On)
		}
	}
	return nil
}

var _ interface {
	pot.Images
	pot.Cloner
} = (*datasets)(nil)
