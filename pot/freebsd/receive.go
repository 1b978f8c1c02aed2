package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// refused are properties of a stream that are not received: those that act on the host
// beyond the image, that would break clones of the image, or that decide how the host stores
// and caches it. Their values are inherited from the parent. OpenZFS would receive them all,
// and share over NFS at once with sharenfs (zfs-receive(8), -x).
var refused = []string{
	"mountpoint", "canmount", "sharenfs", "sharesmb", "exec", "setuid", "readonly", "jailed",
	"quota", "refquota", "reservation", "refreservation", "filesystem_limit", "snapshot_limit",

	"checksum", "copies", "dedup", "logbias", "primarycache", "redundant_metadata", "secondarycache", "snapdir",
	"special_small_blocks", "sync",
}

// Receive implements pot.Images. It accepts streams of the file systems NAME and
// NAME/m alone.
func (d *datasets) Receive(ctx context.Context, name string, stream io.Reader) error {
	return d.receive(ctx, name, "-", stream)
}

// ReceiveLayer implements pot.Images. zfs receive takes any snapshot in the pool that has
// the GUID for the origin, so the origin is checked afterwards.
func (d *datasets) ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
	_ func(context.Context) ([]io.ReadCloser, error)) error {
	if err := errors.Join(valid(origin), valid(snapshot)); err != nil {
		return err
	}
	return d.receive(ctx, name, d.path(origin)+"/m@"+snapshot, stream)
}

// receive receives an image that is a layer on origin, or on none if that is "-".
func (d *datasets) receive(ctx context.Context, name, origin string, stream io.Reader) (err error) {
	if err := valid(name); err != nil {
		return err
	}
	defer func() {
		// A receive that fails leaves the datasets that it has created.
		if err != nil && !errors.Is(err, fs.ErrExist) {
			err = errors.Join(err, d.undo(ctx, name))
		}
	}()
	if err := d.zfs.Receive(ctx, d.path(name), refused, stream); err != nil {
		return err
	}
	if err := d.checkReceived(ctx, name, origin); err != nil {
		return err
	}
	return d.mountReceived(ctx, name)
}

// checkReceived refuses datasets that are no image of a pot, or a tree with another origin.
func (d *datasets) checkReceived(ctx context.Context, name, origin string) error {
	all, err := d.zfs.Tree(ctx, d.path(name))
	if err != nil {
		return err
	}
	want := map[string]string{d.path(name) + "\tfilesystem": "-", d.path(name) + "/m\tfilesystem": origin}
	got := map[string]string{}
	for _, dataset := range all {
		got[dataset.Name+"\t"+dataset.Type] = dataset.Origin
	}
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
		return fmt.Errorf("no image of a pot: it must be a file system with a child m, not %q", slices.Sorted(maps.Keys(got)))
	}
	for dataset, on := range got {
		if on == want[dataset] {
			continue
		}
		if want[dataset] == "-" {
			return fmt.Errorf("it is a layer on %s, and must be on none", on)
		}
		if err := d.checkOrigin(ctx, on, want[dataset]); err != nil {
			return err
		}
	}
	return nil
}

// mountReceived mounts an image that was received, as the shell tool keeps its images. No command
// is needed where the parent is mounted; the properties of the dataset say how it is
// mounted (module/os/freebsd/zfs/zfs_vfsops.c, zfs_register_callbacks).
func (d *datasets) mountReceived(ctx context.Context, name string) error {
	jails, err := d.mountpoint(d.root + "/jails")
	if errors.Is(err, fs.ErrNotExist) {
		return d.mount(ctx, name)
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(jails, name)
	for _, p := range []MountPoint{{Type: "zfs", From: d.path(name), On: dir}, {Type: "zfs", From: d.path(name) + "/m", On: dir + "/m"}} {
		if err := os.Mkdir(p.On, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := d.kernel.Mount(p); err != nil {
			return fmt.Errorf("mount %s: %w", p.From, err)
		}
	}
	return nil
}
