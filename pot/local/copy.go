package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// CopyIn copies a file or a directory of the host into the pot (copy-in, 6.8).
type CopyIn struct {
	tree.Copy
	Parents bool // missing directories above Target are made
	Running bool // the pot may run
}

// Validate is Setting's.
func (c CopyIn) Validate() error {
	var errs []error
	switch {
	case c.Source == "":
		errs = append(errs, errors.New("-s: a source must be set"))
	case !filepath.IsAbs(c.Source) || filepath.Clean(c.Source) == "/":
		errs = append(errs, fmt.Errorf("-s: must be an absolute path below /, not %q", c.Source))
	default:
		if _, err := os.Lstat(c.Source); err != nil {
			errs = append(errs, fmt.Errorf("-s: %w", err))
		}
	}
	return errors.Join(append(errs, checkInPot("-d", "destination", c.Target))...)
}

// checkInPot says what is wrong with a path in the pot's own tree.
func checkInPot(flag, what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: a %s must be set", flag, what)
	case !path.IsAbs(name) || path.Clean(name) == "/" || pot.ReservedTarget(path.Clean(name)):
		return fmt.Errorf("%s: must be an absolute path in the pot's own tree, not %q", flag, name)
	}
	return nil
}

func (c CopyIn) set(ctx context.Context, s *Pot) error {
	if err := s.open(ctx, c.Running, c.Target); err != nil {
		return err
	}
	if !c.Parents {
		if err := s.hasParent(c.Target); err != nil {
			return fmt.Errorf("-d: %w", err)
		}
	}
	c.Source = filepath.Clean(c.Source)
	return tree.CopyIn(ctx, s.tree(), c.Copy)
}

// hasParent is an error if there is no directory that target would be in.
func (s *Pot) hasParent(target string) error {
	root, err := os.OpenRoot(s.tree())
	if err != nil {
		return err
	}
	defer root.Close()
	parent := strings.Trim(path.Dir(path.Clean(target)), "/")
	if parent == "" {
		return nil
	}
	info, err := root.Stat(parent)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return fmt.Errorf("the pot has no directory /%s: -c makes it", parent)
	}
	return err
}

// open is an error unless name can be copied to or from: of a pot that runs, only if
// that is wanted, and of one that does not, where nothing will be mounted on it.
func (s *Pot) open(ctx context.Context, running bool, name string) error {
	there, err := s.Running(ctx)
	switch {
	case err != nil:
		return err
	case there && !running:
		return fmt.Errorf("pot %s: %w", s.name, ErrRunning)
	case there:
		return nil
	}
	mounts, err := s.Mounts()
	if err != nil {
		return err
	}
	if potConf, err := s.Conf(); err == nil && potConf.Attribute("no-tmpfs") != "YES" {
		mounts = append(mounts, conf.FSMount{Source: "tmpfs", Target: "/tmp"})
	}
	for _, m := range mounts {
		if m = m.Relative(s.tree()); m.Target != "/" && pot.Below(path.Clean(name), m.Target) {
			return fmt.Errorf("%s is in %s, where %s is mounted when the pot runs", name, m.Target, m.Source)
		}
	}
	return nil
}

// CopyOut copies a file or a directory of the pot into a directory of the host
// (copy-out).
type CopyOut struct {
	Source  string // in the pot, absolute
	Dir     string // of the host
	Running bool   // the pot may run
}

// Validate is Setting's.
func (c CopyOut) Validate() error {
	err := checkInPot("-s", "source", c.Source)
	if c.Dir == "" {
		err = errors.Join(err, errors.New("-d: a destination must be set"))
	}
	return err
}

func (c CopyOut) set(ctx context.Context, s *Pot) error {
	if err := s.open(ctx, c.Running, c.Source); err != nil {
		return err
	}
	from, err := os.OpenRoot(s.tree())
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenRoot(c.Dir)
	if err != nil {
		return fmt.Errorf("-d: %w", err)
	}
	defer to.Close()
	return tree.CopyOut(ctx, from, strings.Trim(path.Clean(c.Source), "/"), to, path.Base(path.Clean(c.Source)))
}
