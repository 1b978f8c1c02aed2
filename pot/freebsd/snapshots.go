package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
)

// snapshots implements pot.Snapshots with ZFS.
type snapshots struct {
	*datasets
	admin *zfs.Admin
}

// at returns a snapshot's whole name.
func (s snapshots) at(name, snapshot string) (string, error) {
	return s.path(name) + "@" + snapshot, errors.Join(valid(name), valid(snapshot))
}

// Take is pot.Snapshots'. zfs snapshot -r takes both at one moment (zfs-snapshot(8)).
func (s snapshots) Take(ctx context.Context, name, snapshot string) error {
	_, err := s.at(name, snapshot)
	if err == nil {
		err = s.admin.Snapshot(ctx, s.path(name), snapshot)
	}
	return err
}

// List is pot.Snapshots'.
func (s snapshots) List(ctx context.Context, name string) ([]pot.Snapshot, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	list, err := s.zfs.ListSnapshots(ctx, s.path(name))
	var all []pot.Snapshot
	for _, one := range list {
		dataset, snapshot, _ := strings.Cut(one.Name, "@")
		all = append(all, pot.Snapshot{
			Child: strings.TrimPrefix(strings.TrimPrefix(dataset, s.path(name)), "/"), Name: snapshot,
			Created: one.Created, UsedBytes: one.UsedBytes, LogicalReferencedBytes: one.LogicalReferencedBytes, GUID: one.GUID,
		})
	}
	return all, err
}

// Destroy is pot.Snapshots'.
func (s snapshots) Destroy(ctx context.Context, name, snapshot string) error {
	at, err := s.at(name, snapshot)
	if err == nil {
		err = ignore(fs.ErrNotExist, s.admin.Destroy(ctx, at, true))
	}
	if zfs.IsHeld(err) {
		err = s.heldError(ctx, name, "@"+snapshot, err)
	}
	return err
}

// Rollback is pot.Snapshots'. zfs rollback without -r fails if there is a newer one.
// Children come before their parent. The two are not one transaction: after a failure a
// second call repeats both.
func (s snapshots) Rollback(ctx context.Context, name, snapshot string) error {
	all, err := s.List(ctx, name)
	if err != nil {
		return err
	}
	found := false
	for _, one := range slices.Backward(all) {
		if one.Name != snapshot {
			continue
		}
		found = true
		of := strings.TrimSuffix(s.path(name)+"/"+one.Child, "/")
		if err := s.admin.Rollback(ctx, of+"@"+snapshot); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("snapshot %s@%s: %w", s.path(name), snapshot, fs.ErrNotExist)
	}
	return nil
}

// Send is pot.Snapshots'.
func (s snapshots) Send(ctx context.Context, name, snapshot string, w io.Writer) error {
	at, err := s.at(name, snapshot)
	if err != nil {
		return err
	}
	return s.zfs.Send(ctx, at, w)
}

// Origin is pot.Snapshots'.
func (s snapshots) Origin(ctx context.Context, name string) (of, snapshot string, err error) {
	if err := valid(name); err != nil {
		return "", "", err
	}
	origin, err := s.zfs.Origin(ctx, s.path(name)+"/m")
	if err != nil || origin == "" {
		return "", "", err
	}
	at, snapshot, _ := strings.Cut(origin, "@")
	of, below := strings.CutPrefix(strings.TrimSuffix(at, "/m"), s.root+"/jails/")
	if !below || valid(of) != nil || s.path(of)+"/m" != at {
		return "", "", fmt.Errorf("%s/m is a clone of %s, which is no pot's tree", s.path(name), origin)
	}
	return of, snapshot, nil
}

var _ pot.Snapshots = snapshots{}
