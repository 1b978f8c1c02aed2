package freebsd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot/run"
)

// unpack implements pot.Host's Unpack by tar(1) of the base system, as pot create does.
// tar(1) takes no path of an archive as absolute, none with "..", and writes through
// no symbolic link that the archive made (bsdtar(1), -P), so that nothing outside the
// new dataset is reached.
func (d *datasets) unpack(ctx context.Context, name string, archive *os.File) (err error) {
	if err := valid(name); err != nil {
		return err
	}
	if info, err := archive.Stat(); err != nil {
		return err
	} else if info.Mode().IsRegular() && info.Size() == 0 { // tar(1) accepts that as an empty archive
		return errors.New("it is empty: it is no tar archive")
	}
	if err := d.zfs.Create(ctx, d.path(name), nil); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.undo(ctx, name))
		}
	}()
	if err := d.zfs.Create(ctx, d.path(name)+"/m", nil); err != nil {
		return err
	}
	dir, err := d.place(name)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "conf"), 0o755); err != nil {
		return err
	}
	tree := filepath.Join(dir, "m")
	// -p keeps modes, flags and owners; these are the numbers that are in the archive,
	// for a pot has user names of its own.
	if _, err := d.runner.Run(ctx, archive, "tar", "-x", "-p", "--numeric-owner", "-f", "-", "-C", tree); err != nil {
		return firstComplaint(err)
	}
	return addRuntimeDirs(tree)
}

// firstComplaint returns the first message of a failed tar(1), which continues after an entry
// that it cannot unpack, and ends with a message that says nothing.
func firstComplaint(err error) error {
	var failed *run.Error
	if !errors.As(err, &failed) || failed.Stderr == "" {
		return err
	}
	said, _, _ := strings.Cut(failed.Stderr, "\n")
	said = strings.TrimSuffix(said, ": Unknown error: -1") // a path that tar(1) refuses has no errno
	return errors.New("unpack: " + strings.TrimPrefix(said, "tar: "))
}

// addRuntimeDirs makes the directories that a jail mounts on, if the archive has none:
// pot create makes the same two.
func addRuntimeDirs(tree string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, mode := range map[string]fs.FileMode{"dev": 0o555, "tmp": 0o777 | fs.ModeSticky} {
		err := root.Mkdir(name, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = root.Chmod(name, mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
