//go:build linux

package linux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/pot"
)

// snapshots implements pot.Snapshots. A snapshot is a file with the stream that Send
// writes:
//
//	DIR/snapshots/NAME/SNAPSHOT
//
// It is a whole copy, in the format in which images travel: slow and large, but export and
// rollback need no second format.
type snapshots struct{ datasets }

func (d datasets) snapshotDir(name string) string { return filepath.Join(d.dir, "snapshots", name) }

// file returns the path of a snapshot's file, and an error if the dataset does not exist.
func (s snapshots) file(ctx context.Context, name, snapshot string) (string, error) {
	if err := valid(snapshot); err != nil {
		return "", err
	}
	_, err := s.Dir(ctx, name)
	return filepath.Join(s.snapshotDir(name), snapshot), err
}

// Take implements pot.Snapshots.Take. The stream is written to a temporary file, which gets
// its name by link(2): a snapshot is complete, and never replaces another.
func (s snapshots) Take(ctx context.Context, name, snapshot string) (err error) {
	file, err := s.file(ctx, name, snapshot)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, &fs.PathError{Op: "snapshot", Path: file, Err: fs.ErrExist})
	}
	if err := os.MkdirAll(s.snapshotDir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.snapshotDir(name), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Link(f.Name(), file)
		}
		err = errors.Join(err, os.Remove(f.Name()))
	}()
	return s.write(ctx, f, name, snapshot)
}

// write writes the stream of the pot's present content. Two trees are written as they are:
// the pot must not run.
func (s snapshots) write(ctx context.Context, w io.Writer, name, snapshot string) error {
	created := time.Now()
	if seconds, err := strconv.ParseInt(snapshot, 10, 64); err == nil && seconds > 0 {
		created = time.Unix(seconds, 0)
	}
	top, err := os.MkdirTemp(s.snapshotDir(name), ".top-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	if err := errors.Join(os.Chmod(top, 0o755), copyConf(s.path(name), top), os.Mkdir(filepath.Join(top, "m"), 0o755)); err != nil {
		return err
	}
	var systems []zstream.FileSystem
	for child, dir := range map[string]string{"": top, "m": filepath.Join(s.path(name), "m")} {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		files, err := zstream.ReadDir(ctx, root)
		if err != nil {
			return err
		}
		defer files.Close()
		systems = append(systems, zstream.FileSystem{Name: child, Files: files})
	}
	slices.SortFunc(systems, func(a, b zstream.FileSystem) int { return strings.Compare(a.Name, b.Name) })
	_, err = zstream.Write(ctx, w, zstream.WriteOptions{
		Dataset: "zroot/pot/jails/" + name, Snapshot: snapshot, Created: created,
	}, systems...)
	return err
}

// maxConfFile bounds a file in a pot's conf directory, in bytes.
const maxConfFile = 16 << 20

// copyConf copies the regular files of a pot's conf directory: its settings and its hooks.
func copyConf(from, to string) error {
	src, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.Mkdir(filepath.Join(to, "conf"), 0o755); err != nil {
		return err
	}
	entries, err := fs.ReadDir(src.FS(), "conf")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue // pot creates no others
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxConfFile {
			return fmt.Errorf("conf/%s: is larger than %d bytes", e.Name(), maxConfFile)
		}
		data, err := src.ReadFile("conf/" + e.Name())
		at := filepath.Join(to, "conf", e.Name())
		if err == nil {
			err = errors.Join(os.WriteFile(at, data, 0o600), os.Chmod(at, info.Mode().Perm()), os.Chtimes(at, info.ModTime(), info.ModTime()))
		}
		if err != nil {
			return err
		}
	}
	return err
}

// List implements pot.Snapshots.List.
func (s snapshots) List(ctx context.Context, name string) ([]pot.Snapshot, error) {
	if _, err := s.Dir(ctx, name); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.snapshotDir(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []pot.Snapshot
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || strings.HasPrefix(e.Name(), ".") {
			continue // removed meanwhile, or not complete
		}
		all = append(all, pot.Snapshot{Name: e.Name(), Created: info.ModTime()},
			pot.Snapshot{Child: "m", Name: e.Name(), Created: info.ModTime(), UsedBytes: info.Size(), LogicalReferencedBytes: info.Size()})
	}
	slices.SortStableFunc(all, func(a, b pot.Snapshot) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// Destroy implements pot.Snapshots.Destroy.
func (s snapshots) Destroy(ctx context.Context, name, snapshot string) error {
	file, err := s.file(ctx, name, snapshot)
	if err == nil {
		err = os.Remove(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Rollback implements pot.Snapshots.Rollback. The present content is kept until all of the
// snapshot has been received.
func (s snapshots) Rollback(ctx context.Context, name, snapshot string) error {
	all, err := s.List(ctx, name)
	if err != nil {
		return err
	}
	if len(all) == 0 || all[len(all)-1].Name != snapshot {
		return fmt.Errorf("snapshot %s@%s: is not the newest there is: %w", name, snapshot, fs.ErrNotExist)
	}
	if left, err := mountedBelow(s.path(name)); err != nil || left != "" {
		return errors.Join(err, fmt.Errorf("roll back %s: mounted in it: %s", name, left))
	}
	again := "_rollback-" + name
	if err := errors.Join(valid(again), s.datasets.Destroy(ctx, again)); err != nil {
		return err
	}
	if err := s.receiveSnapshot(ctx, again, name, snapshot); err != nil {
		return err
	}
	// One step, so that neither an error nor a crash leaves the pot without a dataset
	// (rename(2), RENAME_EXCHANGE).
	err = unix.Renameat2(unix.AT_FDCWD, s.path(again), unix.AT_FDCWD, s.path(name), unix.RENAME_EXCHANGE)
	if err != nil {
		err = &os.LinkError{Op: "exchange", Old: s.path(again), New: s.path(name), Err: err}
	}
	return errors.Join(err, os.RemoveAll(s.path(again)))
}

// receiveSnapshot receives a snapshot of name as dataset to.
func (d datasets) receiveSnapshot(ctx context.Context, to, name, snapshot string) error {
	f, err := os.Open(filepath.Join(d.snapshotDir(name), snapshot))
	if err != nil {
		return err
	}
	defer f.Close()
	return d.Receive(ctx, to, f)
}

// Send implements pot.Snapshots.Send. Each stream is complete: earlier snapshots are not
// sent. A file that is closed ends a copy that waits for a slow reader.
func (s snapshots) Send(ctx context.Context, name, snapshot string, w io.Writer) error {
	file, err := s.file(ctx, name, snapshot)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	_, err = io.Copy(w, f)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Origin implements pot.Snapshots.Origin: a dataset has none here.
func (s snapshots) Origin(ctx context.Context, name string) (of, snapshot string, err error) {
	_, err = s.Dir(ctx, name)
	return "", "", err
}

// cloneSnapshot implements Clone for a snapshot: it makes a copy, which does not depend on
// the snapshot. On this host Snapshots.Destroy therefore never finds a dependent clone.
func (d datasets) cloneSnapshot(ctx context.Context, c pot.Clone) (dir string, err error) {
	if err := errors.Join(valid(c.Snapshot), valid(c.Origin)); err != nil {
		return "", err
	}
	if err := d.receiveSnapshot(ctx, c.Name, c.Origin, c.Snapshot); err != nil {
		return "", err
	}
	dir = d.path(c.Name)
	conf := filepath.Join(dir, "conf")
	if err := errors.Join(os.RemoveAll(conf), os.Mkdir(conf, 0o755), d.writeLabels(c.Name, labelFile{Labels: c.Labels})); err != nil {
		return "", errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return d.Destroy(ctx, c.Name) }))
	}
	return dir, nil
}

var _ pot.Snapshots = snapshots{}
