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

// Snapshots are the pot's, the oldest first: its dataset's and its tree's.
func (s *Pot) Snapshots(ctx context.Context) ([]pot.Snapshot, error) {
	all, err := s.host.Snapshots.List(ctx, string(s.name))
	if err != nil {
		return nil, fmt.Errorf("pot %s: %w", s.name, err)
	}
	return all, nil
}

// snapshotNames are those that the pot's own dataset has, which are what counts: its
// tree may have brought more (pot-reference 3.5). The oldest is first: names are times.
func (s *Pot) snapshotNames(ctx context.Context) (names []string, err error) {
	all, err := s.Snapshots(ctx)
	for _, one := range all {
		if one.Child == "" {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return names, err
}

// SnapshotNames are the names of the pot's snapshots, the oldest first.
func (s *Pot) SnapshotNames(ctx context.Context) ([]string, error) { return s.snapshotNames(ctx) }

// Snapshot takes a snapshot of the pot, which must not run, and returns its name: the
// time in seconds since 1970, as pot names them; a second that is taken already is
// waited out. With replace the oldest one goes before.
func (s *Pot) Snapshot(ctx context.Context, replace bool) (name string, err error) {
	if err := s.stopped(ctx); err != nil {
		return "", err
	}
	there, err := s.snapshotNames(ctx)
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

func now() string { return strconv.FormatInt(time.Now().Unix(), 10) }

// PurgeSnapshots destroys the pot's snapshots but the newest, or that too, and returns
// the names of those that went. One that another pot is cloned from is an error, and
// does not keep the others.
func (s *Pot) PurgeSnapshots(ctx context.Context, all bool) (gone []string, err error) {
	names, err := s.snapshotNames(ctx)
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
		gone = append(gone, name)
	}
	if len(errs) > 0 {
		err = fmt.Errorf("pot %s: %w", s.name, errors.Join(errs...))
	}
	return gone, err
}

// Revert makes the pot, which must not run, what it was at its newest snapshot, whose
// name it returns.
func (s *Pot) Revert(ctx context.Context) (name string, err error) {
	if err := s.stopped(ctx); err != nil {
		return "", err
	}
	names, err := s.snapshotNames(ctx)
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", fmt.Errorf("pot %s: %w", s.name, ErrNoSnapshot)
	}
	name = names[len(names)-1]
	return name, s.host.Snapshots.Rollback(ctx, string(s.name), name)
}

// ErrNoSnapshot is a pot that has none.
var ErrNoSnapshot = errors.New("has no snapshot")

// Send writes the zfs send stream of one of the pot's snapshots.
func (s *Pot) Send(ctx context.Context, snapshot string, w io.Writer) error {
	return s.host.Snapshots.Send(ctx, string(s.name), snapshot, w)
}

// Origin is the pot, and its snapshot, that the pot's tree is a clone of; "" if none.
func (s *Pot) Origin(ctx context.Context) (of, snapshot string, err error) {
	return s.host.Snapshots.Origin(ctx, string(s.name))
}
