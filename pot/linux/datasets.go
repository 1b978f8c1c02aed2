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
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/flock"
)

// datasets are directories, laid out as below pot's POT_FS_ROOT:
//
//	DIR/jails/NAME/conf, /m   an image, or a clone with its overlay mounted on m
//	DIR/layers/NAME/upper, /work   what a clone has changed
//	DIR/labels/NAME           what belongs to either, out of reach of both
type datasets struct{ dir string }

// labelFile is the content of DIR/labels/NAME. No stream can set them, and no pot can reach
// the directory: they say what a dataset is on this host.
type labelFile struct {
	Origin string            `json:"origin,omitempty"` // of a clone
	Labels map[string]string `json:"labels,omitempty"`
}

func (d datasets) path(name string) string  { return filepath.Join(d.dir, "jails", name) }
func (d datasets) layer(name string) string { return filepath.Join(d.dir, "layers", name) }
func (d datasets) label(name string) string { return filepath.Join(d.dir, "labels", name) }

// valid keeps names from being paths. Names of images come from job files, and are passed
// on to RemoveAll.
func valid(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > unix.NAME_MAX {
		return fmt.Errorf("invalid name of a dataset: %.300q", name)
	}
	return nil
}

// prepare makes the directories that datasets are kept in. An image's files may be
// set-uid and owned by root, so only root can search these directories.
func (d datasets) prepare() error {
	for _, sub := range []string{"jails", "layers", "labels"} {
		if err := os.MkdirAll(filepath.Join(d.dir, sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Rename implements pot.Images. The labels are there under the new name before the dataset
// is: a crash leaves no image without them, but labels under the old name, or labels
// of nothing, which the next to get the name replaces.
func (d datasets) Rename(ctx context.Context, from, to string) error {
	if err := errors.Join(valid(from), valid(to)); err != nil {
		return err
	}
	unlock, err := flock.Lock(ctx, filepath.Join(d.dir, "rename.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(d.path(to)); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: unix.EEXIST}
	}
	if err := d.moveLabels(from, to); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, d.path(from), unix.AT_FDCWD, d.path(to), unix.RENAME_NOREPLACE); err != nil {
		err = &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		if errors.Is(err, fs.ErrExist) { // a clone of that name, whose labels they may be
			return err
		}
		return errors.Join(err, os.RemoveAll(d.label(to)))
	}
	if err := os.Rename(d.snapshotDir(from), d.snapshotDir(to)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(d.label(from))
}

// List implements pot.Images. It needs no lock: an entry appears and disappears at once.
func (d datasets) List(ctx context.Context, prefix string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.dir, "jails"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// Idle implements pot.Images.
func (d datasets) Idle(ctx context.Context, label string) ([]string, error) {
	known, err := names(filepath.Join(d.dir, "labels"))
	if err != nil {
		return nil, err
	}
	var labelled []string
	busy := map[string]bool{}
	for _, name := range known {
		f, _ := d.readLabels(string(name)) // what is damaged may still have an origin
		busy[f.Origin] = true
		if f.Labels[label] != "" {
			labelled = append(labelled, string(name))
		}
	}
	return slices.DeleteFunc(labelled, func(name string) bool { return busy[name] }), nil
}

// Created implements pot.Images. It is when the dataset's directory was made, as far as the
// file system keeps that (statx(2), STATX_BTIME).
func (d datasets) Created(ctx context.Context) (map[string]time.Time, error) {
	names, err := d.List(ctx, "")
	all := map[string]time.Time{}
	for _, name := range names {
		var s unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, d.path(name), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &s); err == nil && s.Mask&unix.STATX_BTIME != 0 {
			all[name] = time.Unix(s.Btime.Sec, int64(s.Btime.Nsec))
		}
	}
	return all, err
}

// GUIDs implements pot.Images. Directories have none: what an image is layered on is read again
// from the streams of the images that it names.
func (d datasets) GUIDs(ctx context.Context, name string) ([]uint64, error) {
	_, err := d.Dir(ctx, name)
	return nil, err
}

// replaceFile puts data at path, whole or not at all. It does not sync: a crash of the
// machine may leave an empty file, for which labels and jails have other sources
// (labels_damaged.go, jails_damaged.go).
func replaceFile(path string, data []byte) error {
	err := os.WriteFile(path+".new", data, 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(path+".new"))
	}
	return err
}

// Dir implements pot.Cloner.
func (d datasets) Dir(ctx context.Context, name string) (string, error) {
	if err := valid(name); err != nil {
		return "", err
	}
	if _, err := os.Lstat(d.path(name)); err != nil {
		return "", err
	}
	return d.path(name), nil
}

// Clone implements pot.Cloner. Directories have no quota. The clone begins with its labels:
// leftovers find by them what a crash leaves. conf of the image, with its hooks and mounts,
// does not come along.
func (d datasets) Clone(ctx context.Context, c pot.Clone) (dir string, err error) {
	image, name := c.Origin, c.Name
	if c.QuotaBytes > 0 {
		return "", fmt.Errorf("a quota of %d bytes: %w", c.QuotaBytes, pot.ErrUnsupported)
	}
	if err := errors.Join(valid(image), valid(name), d.prepare()); err != nil {
		return "", err
	}
	if c.Snapshot != "" {
		return d.cloneSnapshot(ctx, c)
	}
	lower := filepath.Join(d.path(image), "m")
	var root unix.Stat_t
	if err := unix.Stat(lower, &root); err != nil {
		return "", fmt.Errorf("image %s: %w", image, err)
	}
	dir = d.path(name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return d.Destroy(ctx, name) }))
		}
	}()
	if err := d.writeLabels(name, labelFile{Origin: image, Labels: c.Labels}); err != nil {
		return "", err
	}
	upper, work := filepath.Join(d.layer(name), "upper"), filepath.Join(d.layer(name), "work")
	for _, sub := range []string{filepath.Join(dir, "conf"), filepath.Join(dir, "m"), d.layer(name), upper, work} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			return "", err
		}
	}
	// The root of the mount has the owner and mode of the upper layer's root.
	if err := errors.Join(os.Chown(upper, int(root.Uid), int(root.Gid)), os.Chmod(upper, mode(root.Mode))); err != nil {
		return "", err
	}
	return dir, overlay(filepath.Join(dir, "m"), lower, upper, work)
}

// mode is st_mode's permission bits as package os has them. os.Chmod takes set-uid, set-gid
// and sticky bits only in Go's own form.
func mode(st uint32) fs.FileMode {
	m := fs.FileMode(st & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{
		unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky,
	} {
		if st&bit != 0 {
			m |= flag
		}
	}
	return m
}

// overlay mounts a writable copy. A clone does not outlive its task, so nothing
// of it needs to be flushed to the disk: "volatile" (Linux 5.10) saves that.
func overlay(on, lower, upper, work string) error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	err := unix.Mount("overlay", on, "overlay", unix.MS_NODEV, options+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", on, "overlay", unix.MS_NODEV, options)
	}
	if err != nil {
		return fmt.Errorf("mount overlay on %s: %w", on, err)
	}
	return nil
}

// busyTimeout bounds how long a tree that is still in use is waited for.
const busyTimeout = 2 * time.Second

// Destroy implements pot.Cloner and pot.Receiver. It removes the labels after the trees, so
// that leftovers find a dataset that is half removed. A file system that is still mounted
// below is an error before anything is removed: os.RemoveAll would remove its files.
func (d datasets) Destroy(ctx context.Context, name string) error {
	if err := valid(name); err != nil {
		return err
	}
	f, err := d.readLabels(name)
	if err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	if f.Origin == "" {
		if err := d.unused(name); err != nil {
			return err
		}
	}
	if err := unmount(ctx, filepath.Join(d.path(name), "m"), busyTimeout); err != nil {
		return err
	}
	if left, err := mountedBelow(d.path(name)); err != nil || left != "" {
		return errors.Join(err, fmt.Errorf("destroy %s: still mounted in it: %s", name, left))
	}
	return errors.Join(
		os.RemoveAll(d.path(name)),
		os.RemoveAll(d.layer(name)),
		os.RemoveAll(d.label(name)),
		os.RemoveAll(d.snapshotDir(name)),
	)
}

// unused is an error if clones depend on image.
func (d datasets) unused(image string) error {
	entries, err := os.ReadDir(filepath.Join(d.dir, "labels"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if f, _ := d.readLabels(e.Name()); f.Origin == image {
			return fmt.Errorf("destroy %s: has dependent clones: %s", image, e.Name())
		}
	}
	return nil
}

var _ interface {
	pot.Images
	pot.Cloner
} = datasets{}
