package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"nomad-driver-pot/pot"
)

// Snapshots returns the snapshots of the pot's dataset and of its tree, the oldest first.
// Dataset and tree have each snapshot of Snapshot under one name.
func (s *Pot) Snapshots(ctx context.Context) ([]pot.Snapshot, error) {
	all, err := s.host.Snapshots.List(ctx, string(s.name))
	if err != nil {
		return nil, fmt.Errorf("pot %s: %w", s.name, err)
	}
	return all, nil
}

// SnapshotNames returns the names of the snapshots of the pot's dataset, the oldest first:
// names are times. It leaves out snapshots that only the tree has: pot makes such ones in
// clone -F and create -P, and an image that was exported from there has them.
func (s *Pot) SnapshotNames(ctx context.Context) (names []string, err error) {
	all, err := s.Snapshots(ctx)
	for _, one := range all {
		if one.Child == "" {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return names, err
}

// Snapshot takes a snapshot of the pot, which must not run, and returns its name: the time
// in seconds since 1970, as pot names them. It waits for a second that has no snapshot yet.
// With replace it destroys the oldest snapshot before. The snapshots of dataset and tree
// are taken at one moment. With replace, the oldest stays destroyed if the new one cannot
// be taken.
func (s *Pot) Snapshot(ctx context.Context, replace bool) (name string, err error) {
	if err := s.stopped(ctx); err != nil {
		return "", err
	}
	there, err := s.SnapshotNames(ctx)
	if err != nil {
		return "", err
	}
	for name = now(); slices.Contains(there, name); name = now() {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if replace && len(there) > 0 {
		if err := s.host.Snapshots.Destroy(ctx, string(s.name), there[0]); err != nil {
			return "", fmt.Errorf("pot %s: %w", s.name, err)
		}
	}
	if err := s.host.Snapshots.Take(ctx, string(s.name), name); err != nil {
		return "", fmt.Errorf("pot %s: %w", s.name, err)
	}
	return name, nil
}

// now is the name that pot would give a snapshot: seconds since 1970.
func now() string { return strconv.FormatInt(time.Now().Unix(), 10) }

// PurgeSnapshots destroys the pot's snapshots, without all except the newest, and returns
// the names of those it destroyed. A snapshot that another pot is cloned from stays: then
// PurgeSnapshots destroys the others and returns an error. The newest is the one that Clone
// and an export use by default.
func (s *Pot) PurgeSnapshots(ctx context.Context, all bool) (destroyed []string, err error) {
	names, err := s.SnapshotNames(ctx)
	if err != nil {
		return nil, err
	}
	if !all {
		names = names[:max(0, len(names)-1)]
	}
	var errs []error
	for _, name := range names {
		if err := s.host.Snapshots.Destroy(ctx, string(s.name), name); err != nil {
			errs = append(errs, err)
			continue
		}
		destroyed = append(destroyed, name)
	}
	if len(errs) > 0 {
		err = fmt.Errorf("pot %s: %w", s.name, errors.Join(errs...))
	}
	return destroyed, err
}

// Revert rolls the pot, which must not run, back to its newest snapshot and returns that
// snapshot's name. Files of conf are rolled back too, and with them the pot's settings:
// approvals, which are labels, are not, so that a hook of before may have to be approved
// again.
func (s *Pot) Revert(ctx context.Context) (name string, err error) {
	if err := s.stopped(ctx); err != nil {
		return "", err
	}
	names, err := s.SnapshotNames(ctx)
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", fmt.Errorf("pot %s: %w", s.name, ErrNoSnapshot)
	}
	name = names[len(names)-1]
	return name, s.host.Snapshots.Rollback(ctx, string(s.name), name)
}

// ErrNoSnapshot is returned for a pot without snapshots.
var ErrNoSnapshot = errors.New("has no snapshot")

// Send writes the zfs send stream of one of the pot's snapshots. It may be incremental: see
// Origin.
func (s *Pot) Send(ctx context.Context, snapshot string, w io.Writer) error {
	return s.host.Snapshots.Send(ctx, string(s.name), snapshot, w)
}

// Origin returns the pot and the snapshot that the pot's tree is a clone of, "" if it is no
// clone. On a host whose copies depend on nothing it is always "".
func (s *Pot) Origin(ctx context.Context) (of, snapshot string, err error) {
	return s.host.Snapshots.Origin(ctx, string(s.name))
}
