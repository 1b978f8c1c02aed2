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

// CopyIn copies a file or a directory of the host into the pot (copy-in). Into a directory
// that exists it goes under its own name; pot gives a directory a random name there
// (share/pot/copy-in.sh).
type CopyIn struct {
	tree.Copy
	Parents bool // create missing directories above Target
	Running bool // the pot may run
}

// Validate implements Change.Validate.
func (c CopyIn) Validate() error {
	var errs []error
	switch {
	case c.Source == "":
		errs = append(errs, errors.New("-s: a source must be set"))
	case !filepath.IsAbs(c.Source) || filepath.Clean(c.Source) == "/":
		errs = append(errs, fmt.Errorf("-s: must be an absolute path below /, not %q", c.Source))
	default:
		if _, err := os.Lstat(c.Source); err != nil {
			errs = append(errs, fmt.Errorf("-s: %w", tree.TrimOp(err)))
		}
	}
	return errors.Join(append(errs, checkInPot("-d", "destination", c.Target))...)
}

// checkInPot returns what is wrong with a path in the pot's own tree. /dev, /proc and other
// places that the host fills are not the pot's own.
func checkInPot(flag, what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: a %s must be set", flag, what)
	case !path.IsAbs(name) || path.Clean(name) == "/" || pot.ReservedTarget(path.Clean(name)):
		return fmt.Errorf("%s: must be an absolute path in the pot's own tree, not %q", flag, name)
	}
	return nil
}

// A copy that fails half way is not undone.
func (c CopyIn) apply(ctx context.Context, s *Pot) error {
	if err := s.canCopy(ctx, c.Running, c.Target); err != nil {
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

// hasParent returns an error if the directory above target does not exist. The tree is not
// trusted: a link that leads out of it is an error.
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
		return fmt.Errorf("no such directory in the pot: /%s; -c creates it", parent)
	}
	return tree.TrimOp(err)
}

// canCopy returns nil if name, a path in the pot, can be copied to or from. A pot that runs
// needs the caller's consent. In a pot that does not run, nothing may be copied to where
// something is mounted at a start: it would not be seen.
func (s *Pot) canCopy(ctx context.Context, running bool, name string) error {
	runs, err := s.Running(ctx)
	switch {
	case err != nil:
		return err
	case runs && !running:
		return fmt.Errorf("pot %s: %w", s.name, ErrRunning)
	case runs:
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

// CopyOut copies a file or a directory of the pot into a directory of the host (copy-out).
// It changes nothing in the pot, so that an image stays one: see Apply.
type CopyOut struct {
	Source  string // in the pot, absolute
	Dir     string // of the host
	Running bool   // the pot may run
}

// Validate implements Change.Validate.
func (c CopyOut) Validate() error {
	err := checkInPot("-s", "source", c.Source)
	if c.Dir == "" {
		err = errors.Join(err, errors.New("-d: a destination must be set"))
	}
	return err
}

func (c CopyOut) apply(ctx context.Context, s *Pot) error {
	if err := s.canCopy(ctx, c.Running, c.Source); err != nil {
		return err
	}
	from, err := os.OpenRoot(s.tree())
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenRoot(c.Dir)
	if err != nil {
		return fmt.Errorf("-d: %w", tree.TrimOp(err))
	}
	defer to.Close()
	return tree.CopyOut(ctx, from, strings.Trim(path.Clean(c.Source), "/"), to, path.Base(path.Clean(c.Source)))
}
