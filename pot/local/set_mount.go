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

// editMounts changes the pot's fscomp.conf. What else is in it is not approved by that.
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

// tree is the root of the pot's files, seen from the host.
func (s *Pot) tree() string { return filepath.Join(s.dir, "m") }

// MountIn has a directory or a dataset of the host mounted in the pot at each start
// (mount-in, 6.7). One of Dir and Dataset is set.
type MountIn struct {
	Dir      string // of the host, absolute
	Dataset  string
	Target   string // in the pot, absolute
	ReadOnly bool
	Remount  bool // the dataset itself is moved into the pot
}

// Validate is Setting's.
func (m MountIn) Validate() error {
	var errs []error
	switch {
	case m.Dir == "" && m.Dataset == "":
		errs = append(errs, errors.New("one of -d, -f and -z must be set"))
	case m.Dir != "" && m.Dataset != "":
		errs = append(errs, errors.New("-d, -f and -z: only one of them can be meant"))
	case m.Dir != "" && m.Remount:
		errs = append(errs, errors.New("-w: is for datasets, and not for a directory"))
	case m.Dir != "" && (!path.IsAbs(m.Dir) || path.Clean(m.Dir) == "/"):
		errs = append(errs, fmt.Errorf("-d: must be an absolute path below /, not %q", m.Dir))
	case m.Dataset != "" && !datasetNames(m.Dataset):
		errs = append(errs, fmt.Errorf("-z: no name of a dataset: %.80q", m.Dataset))
	}
	if info, err := os.Stat(m.Dir); m.Dir != "" && err != nil {
		errs = append(errs, fmt.Errorf("-d: %w", err))
	} else if m.Dir != "" && !info.IsDir() {
		errs = append(errs, fmt.Errorf("-d: %s: is no directory", m.Dir))
	}
	errs = append(errs, checkTarget("-m", m.Target))
	if strings.ContainsAny(m.Dir, " \t\n\r\x00") {
		errs = append(errs, fmt.Errorf("-d: fscomp.conf has no way to write blanks: %q", m.Dir))
	}
	return errors.Join(errs...)
}

// checkTarget says what is wrong with a mount point.
func checkTarget(flag, target string) error {
	switch clean := path.Clean(target); {
	case target == "":
		return fmt.Errorf("%s: a mount point must be set", flag)
	case !path.IsAbs(target) || clean == "/":
		return fmt.Errorf("%s: must be an absolute path below /, not %q", flag, target)
	case strings.ContainsAny(target, " \t\n\r\x00"):
		return fmt.Errorf("%s: fscomp.conf has no way to write blanks: %q", flag, target)
	case pot.ReservedTarget(clean):
		return fmt.Errorf("%s: %q is the host's to fill", flag, target)
	}
	return nil
}

// FSComponent is the dataset of a file system that pot keeps for pots to share, by
// its name (create-fscomp).
func FSComponent(zfsRoot, name string) (string, error) {
	if err := pot.Name(name).Validate(); err != nil {
		return "", fmt.Errorf("-f: %w", err)
	}
	return zfsRoot + "/fscomp/" + name, nil
}

// datasetNames are those of zfs(8).
func datasetNames(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/"
	return len(name) < 256 && strings.Trim(name, letters) == "" && !strings.HasPrefix(name, "/") &&
		!strings.HasPrefix(name, "-") && !strings.HasSuffix(name, "/") && !strings.Contains(name, "//")
}

func (m MountIn) set(ctx context.Context, s *Pot) error {
	if err := s.stopped(ctx); err != nil {
		return err
	}
	entry := conf.FSMount{Source: path.Clean(m.Dir), Target: path.Clean(m.Target)}
	if m.Dir != "" {
		if pot.Below(entry.Source, s.dir) || pot.Below(s.dir, entry.Source) {
			return fmt.Errorf("-d: %s and the pot are in one another", m.Dir)
		}
	} else {
		entry.Source = m.Dataset
		if _, err := s.sourceOf(ctx, entry); err != nil && !errors.Is(err, pot.ErrUnsupported) {
			return fmt.Errorf("-z: %w", err)
		}
	}
	switch {
	case m.ReadOnly: // as with pot, it wins
		entry.Option = conf.ReadOnly
	case m.Remount:
		entry.Option = conf.Remounted
	}
	return s.editMounts(ctx, func(all []conf.FSMount) ([]conf.FSMount, error) {
		for _, other := range all {
			if other.Target == entry.Target {
				return nil, fmt.Errorf("-m: %s is mounted on %s already: %w", other.Source, other.Target, fs.ErrExist)
			}
		}
		if err := makeTarget(s.tree(), entry.Target, all); err != nil {
			return nil, fmt.Errorf("-m: %w", err)
		}
		return append(all, entry), nil
	})
}

// makeTarget makes a mount point, unless it will be in something that is mounted
// before. A link on the way is an error: to whom it leads is not for the pot to say.
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
			return tree.MkdirAll(root, path.Clean(strings.Trim(target, "/")))
		case err != nil:
			return err
		case info.Mode().Type() == fs.ModeSymlink:
			to, _ := root.Readlink(at)
			return fmt.Errorf("/%s is a link to %s: say where that is", at, to)
		case !info.IsDir():
			return fmt.Errorf("/%s is no directory", at)
		}
	}
	return nil
}

// MountOut has something mounted in the pot no more (mount-out).
type MountOut struct{ Target string } // in the pot, absolute

// Validate is Setting's.
func (m MountOut) Validate() error { return checkTarget("-m", m.Target) }

func (m MountOut) set(ctx context.Context, s *Pot) error {
	if err := s.stopped(ctx); err != nil {
		return err
	}
	return s.editMounts(ctx, func(all []conf.FSMount) ([]conf.FSMount, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(other conf.FSMount) bool { return other.Target == path.Clean(m.Target) })
		if len(left) == len(all) {
			return nil, fmt.Errorf("-m: nothing is mounted on %s: %w", m.Target, fs.ErrNotExist)
		}
		return left, nil
	})
}
