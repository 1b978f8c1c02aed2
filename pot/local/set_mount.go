package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// editMounts has change change the lines of the pot's fscomp.conf. It approves the new file
// if the old one was approved. An image can bring a fscomp.conf that nobody has approved:
// an addition to it must not approve the rest. Targets below the pot's directory, which pot
// before 0.15.6 wrote, are made relative to the tree.
func (s *Pot) editMounts(ctx context.Context, change func([]conf.FSMount) ([]conf.FSMount, error)) error {
	unapproved := s.approved(ctx, conf.FSCompConf)
	if unapproved != nil && !errors.Is(unapproved, ErrNotApproved) {
		return unapproved
	}
	var after []byte
	err := editFile(s.dir, conf.FSCompConf, true, func(data []byte) ([]byte, error) {
		all, err := conf.ParseFSMounts(data)
		if err != nil {
			return nil, err
		}
		for i := range all {
			all[i] = all[i].Relative(s.tree())
		}
		if all, err = change(all); err != nil {
			return nil, err
		}
		after = conf.FormatFSMounts(all)
		return after, nil
	})
	if err != nil || unapproved != nil {
		return err
	}
	return s.approve(ctx, conf.FSCompConf, after)
}

// tree returns the directory on the host that is the root of the pot's files. The pot
// controls what is in it: do not follow its links.
func (s *Pot) tree() string { return filepath.Join(s.dir, "m") }

// MountIn adds a directory or a dataset of the host to what is mounted in the pot at each
// start (mount-in). Exactly one of Dir and Dataset must be set. pot refuses to use a
// directory of the host for two mounts of a pot; here only two mounts on one target are
// refused.
type MountIn struct {
	Dir      string // on the host, absolute
	Dataset  string
	Target   string // in the pot, absolute
	ReadOnly bool
	Remount  bool // the dataset's own mount point is moved into the pot
}

// Validate implements Change.Validate.
func (m MountIn) Validate() error {
	var errs []error
	switch {
	case m.Dir == "" && m.Dataset == "":
		errs = append(errs, errors.New("one of -d, -f and -z must be set"))
	case m.Dir != "" && m.Dataset != "":
		errs = append(errs, errors.New("-d, -f and -z are mutually exclusive"))
	case m.Dir != "" && m.Remount:
		errs = append(errs, errors.New("-w: requires a dataset, not a directory"))
	case m.Dir != "" && (!path.IsAbs(m.Dir) || path.Clean(m.Dir) == "/"):
		errs = append(errs, fmt.Errorf("-d: must be an absolute path below /, not %q", m.Dir))
	case m.Dataset != "" && !isDatasetName(m.Dataset):
		errs = append(errs, fmt.Errorf("-z: must be the name of a dataset, not %.80q", m.Dataset))
	}
	if info, err := os.Stat(m.Dir); m.Dir != "" && err != nil {
		errs = append(errs, fmt.Errorf("-d: %w", tree.TrimOp(err)))
	} else if m.Dir != "" && !info.IsDir() {
		errs = append(errs, fmt.Errorf("-d: %s: is not a directory", m.Dir))
	}
	errs = append(errs, checkTarget("-m", m.Target))
	if strings.ContainsAny(m.Dir, " \t\n\r\x00") {
		errs = append(errs, fmt.Errorf("-d: must not contain blanks, which fscomp.conf cannot hold: %q", m.Dir))
	}
	return errors.Join(errs...)
}

// checkTarget returns what is wrong with a mount point. fscomp.conf has no quoting: a blank
// would end the field.
func checkTarget(flag, target string) error {
	switch clean := path.Clean(target); {
	case target == "":
		return fmt.Errorf("%s: a mount point must be set", flag)
	case !path.IsAbs(target) || clean == "/":
		return fmt.Errorf("%s: must be an absolute path below /, not %q", flag, target)
	case strings.ContainsAny(target, " \t\n\r\x00"):
		return fmt.Errorf("%s: must not contain blanks, which fscomp.conf cannot hold: %q", flag, target)
	case pot.ReservedTarget(clean):
		return fmt.Errorf("%s: %q is the host's to fill", flag, target)
	}
	return nil
}

// FSComponent returns the dataset of a file system that pots share, by its name
// (create-fscomp). The dataset need not exist: MountIn looks for it.
func FSComponent(zfsRoot, name string) (string, error) {
	if err := pot.Name(name).Validate(); err != nil {
		return "", fmt.Errorf("-f: %w", err)
	}
	return zfsRoot + "/fscomp/" + name, nil
}

// isDatasetName reports whether zfs(8) accepts name for a dataset. The letters are
// OpenZFS's (zfs_namecheck.c, valid_char) but the blank. The name is passed to zfs(8) as an
// argument, so it must not begin with a dash.
func isDatasetName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/"
	return len(name) < 256 && strings.Trim(name, letters) == "" && !strings.HasPrefix(name, "/") &&
		!strings.HasPrefix(name, "-") && !strings.HasSuffix(name, "/") && !strings.Contains(name, "//")
}

// The entry takes effect with the next start: a mount that was made in a running pot would
// not be in the record by which the pot is stopped.
func (m MountIn) apply(ctx context.Context, s *Pot) error {
	if err := s.stopped(ctx); err != nil {
		return err
	}
	entry := conf.FSMount{Source: path.Clean(m.Dir), Target: path.Clean(m.Target)}
	if m.Dir != "" {
		if pot.Below(entry.Source, s.dir) || pot.Below(s.dir, entry.Source) {
			return fmt.Errorf("-d: %s must not contain the pot, nor be in it", m.Dir)
		}
	} else {
		entry.Source = m.Dataset
		if _, err := s.sourceOf(ctx, entry); err != nil && !errors.Is(err, pot.ErrUnsupported) {
			return fmt.Errorf("-z: %w", err)
		}
	}
	switch {
	case m.ReadOnly: // pot, too, ignores -w with -r
		entry.Option = conf.ReadOnly
	case m.Remount:
		entry.Option = conf.Remounted
	}
	return s.editMounts(ctx, func(all []conf.FSMount) ([]conf.FSMount, error) {
		for _, other := range all {
			if other.Target == entry.Target {
				return nil, pot.Reword(fs.ErrExist, "-m: %s is already mounted on %s", other.Source, other.Target)
			}
		}
		if err := makeTarget(s.tree(), entry.Target, all); err != nil {
			return nil, fmt.Errorf("-m: %w", err)
		}
		return append(all, entry), nil
	})
}

// makeTarget creates a mount point, unless it will be in a file system that is mounted before
// it. It refuses a symbolic link on the way: the pot could lead the host's mount elsewhere.
func makeTarget(treeRoot, target string, before []conf.FSMount) error {
	if slices.ContainsFunc(before, func(m conf.FSMount) bool { return pot.Below(target, m.Target) }) {
		return nil
	}
	root, err := os.OpenRoot(treeRoot)
	if err != nil {
		return err
	}
	defer root.Close()
	at := ""
	for part := range strings.SplitSeq(strings.Trim(target, "/"), "/") {
		at = path.Join(at, part)
		info, err := root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return tree.TrimOp(tree.MkdirAll(root, path.Clean(strings.Trim(target, "/"))))
		case err != nil:
			return tree.TrimOp(err)
		case info.Mode().Type() == fs.ModeSymlink:
			to, _ := root.Readlink(at)
			return fmt.Errorf("/%s is a symbolic link to %s; name the directory itself", at, to)
		case !info.IsDir():
			return fmt.Errorf("/%s is not a directory", at)
		}
	}
	return nil
}

// MountOut removes a mount from the pot (mount-out). The mount point stays in the tree.
type MountOut struct{ Target string } // in the pot, absolute

// Validate implements Change.Validate.
func (m MountOut) Validate() error { return checkTarget("-m", m.Target) }

func (m MountOut) apply(ctx context.Context, s *Pot) error {
	if err := s.stopped(ctx); err != nil {
		return err
	}
	return s.editMounts(ctx, func(all []conf.FSMount) ([]conf.FSMount, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(other conf.FSMount) bool { return other.Target == path.Clean(m.Target) })
		if len(left) == len(all) {
			return nil, pot.Reword(fs.ErrNotExist, "-m: nothing is mounted on %s", m.Target)
		}
		return left, nil
	})
}
