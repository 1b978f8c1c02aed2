package freebsd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// newestKnown is the newest snapshot of an image's tree, for as long as at does not change.
type newestKnown struct {
	snapshot string
	at       snapshotState
}

// snapshotState changes with every snapshot that is taken, received, renamed or destroyed,
// by whatever program, and with every dataset that takes the name of another.
type snapshotState struct {
	id      [2]int32 // of the file system: a dataset has its own for as long as it exists
	changed time.Time
	size    int64
}

// snapshotState of an image's tree; ok is false if it cannot be read, as of a tree that
// is not mounted. It takes no command: the directory .zfs/snapshot of a file system has the
// time of the last change for its own, and a size that counts the snapshots
// (module/os/freebsd/zfs/zfs_ctldir.c, zfsctl_snapdir_getattr; dsl_dir.c,
// dsl_dir_snap_cmtime_update).
func (d *datasets) snapshotState(image string) (at snapshotState, ok bool) {
	table, err := d.kernel.Mounts()
	if err != nil {
		return at, false
	}
	for _, m := range table {
		if m.Type != "zfs" || m.From != d.path(image)+"/m" {
			continue
		}
		info, err := os.Lstat(filepath.Join(m.On, ".zfs", "snapshot"))
		if err != nil {
			return at, false
		}
		return snapshotState{id: m.ID, changed: info.ModTime(), size: info.Size()}, true
	}
	return at, false
}

// knownNewest returns the newest snapshot of an image's tree, if snapshotState has not changed
// since newest read it.
func (d *datasets) knownNewest(image string) (snapshot string, found bool) {
	v, found := d.newestOf.Load(image)
	if !found {
		return "", false
	}
	known := v.(newestKnown)
	now, ok := d.snapshotState(image)
	return known.snapshot, ok && now == known.at
}

// newest reads the newest snapshot of an image's tree. The next knownNewest notices a snapshot
// that is taken while zfs(8) runs.
func (d *datasets) newest(ctx context.Context, image string) (string, error) {
	before, ok := d.snapshotState(image)
	all, err := d.zfs.Snapshots(ctx, d.path(image)+"/m")
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("has no snapshot to clone")
	}
	snapshot := all[len(all)-1]
	if ok {
		d.newestOf.Store(image, newestKnown{snapshot, before})
	}
	return snapshot, nil
}
