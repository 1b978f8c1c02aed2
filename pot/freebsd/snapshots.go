package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// snapshots are ZFS's.
type snapshots struct{ *datasets }

// at is a snapshot's name, with its dataset's.
func (s snapshots) at(name, snapshot string) (string, error) {
	return s.path(name) + "@" + snapshot, errors.Join(valid(name), valid(snapshot))
}

// Take is pot.Snapshots'.
func (s snapshots) Take(ctx context.Context, name, snapshot string) error {
	at, err := s.at(name, snapshot)
	if err == nil {
		_, err = s.zfs(ctx, "snapshot", "-r", at)
	}
	return err
}

// List is pot.Snapshots'.
func (s snapshots) List(ctx context.Context, name string) ([]pot.Snapshot, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	out, err := s.zfs(ctx, "list", "-Hp", "-d", "2", "-t", "snapshot", "-s", "createtxg", "-s", "name", "-o", "name,creation,used,guid,logicalreferenced", s.path(name))
	if err != nil {
		return nil, err
	}
	var all []pot.Snapshot
	for line := range strings.Lines(out) {
		one, err := s.parse(name, strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("zfs list %s: %q: %w", s.path(name), strings.TrimSpace(line), err)
		}
		all = append(all, one)
	}
	return all, nil
}

// parse reads a line of zfs list.
func (s snapshots) parse(name string, words []string) (one pot.Snapshot, err error) {
	if len(words) != 5 {
		return one, errors.New("must be of five words")
	}
	of, snapshot, _ := strings.Cut(words[0], "@")
	one.Child, one.Name = strings.TrimPrefix(strings.TrimPrefix(of, s.path(name)), "/"), snapshot
	created, err1 := strconv.ParseInt(words[1], 10, 64)
	used, err2 := strconv.ParseInt(words[2], 10, 64)
	guid, err3 := strconv.ParseUint(words[3], 10, 64)
	held, err4 := strconv.ParseInt(words[4], 10, 64)
	one.Created, one.UsedBytes, one.LogicalReferencedBytes, one.GUID = time.Unix(created, 0), used, held, guid
	return one, errors.Join(err1, err2, err3, err4)
}

// Destroy is pot.Snapshots'.
func (s snapshots) Destroy(ctx context.Context, name, snapshot string) error {
	at, err := s.at(name, snapshot)
	if err == nil {
		_, err = s.zfs(ctx, "destroy", "-r", at)
		err = ignore(fs.ErrNotExist, err)
	}
	if isHeld(err) {
		err = s.heldError(ctx, name, "@"+snapshot, err)
	}
	return err
}

// Rollback is pot.Snapshots'. Without -r zfs refuses when there is a newer one.
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
		if _, err := s.zfs(ctx, "rollback", of+"@"+snapshot); err != nil {
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
	r, ok := s.runner.(run.Streamer)
	if !ok {
		return errors.New("internal error: what runs commands cannot stream")
	}
	return classify(r.Stream(ctx, w, "zfs", "send", "-R", at))
}

// Origin is pot.Snapshots'.
func (s snapshots) Origin(ctx context.Context, name string) (of, snapshot string, err error) {
	if err := valid(name); err != nil {
		return "", "", err
	}
	out, err := s.zfs(ctx, "get", "-Hp", "-o", "value", "origin", s.path(name)+"/m")
	if out = strings.TrimSpace(out); err != nil || out == "-" {
		return "", "", err
	}
	at, snapshot, _ := strings.Cut(out, "@")
	of, below := strings.CutPrefix(strings.TrimSuffix(at, "/m"), s.root+"/jails/")
	if !below || valid(of) != nil || s.path(of)+"/m" != at {
		return "", "", fmt.Errorf("%s/m is a clone of %s, which is no pot's tree", s.path(name), out)
	}
	return of, snapshot, nil
}

var _ pot.Snapshots = snapshots{}
