package pot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// CopyIn copies a file or a directory of the host into the pot (copy-in, 6.8).
type CopyIn struct {
	Copy
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
	case !path.IsAbs(name) || path.Clean(name) == "/" || reserved(path.Clean(name)):
		return fmt.Errorf("%s: must be an absolute path in the pot's own tree, not %q", flag, name)
	}
	return nil
}

func (c CopyIn) set(ctx context.Context, s *Settings) error {
	if err := s.open(ctx, c.Running, c.Target); err != nil {
		return err
	}
	if !c.Parents {
		if err := s.hasParent(c.Target); err != nil {
			return fmt.Errorf("-d: %w", err)
		}
	}
	c.Source = filepath.Clean(c.Source)
	return copyIn(ctx, s.tree(), c.Copy)
}

// hasParent is an error if there is no directory that target would be in.
func (s *Settings) hasParent(target string) error {
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
func (s *Settings) open(ctx context.Context, running bool, name string) error {
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
	if conf, err := s.Conf(); err == nil && conf.Value("pot.attr.no-tmpfs") != "YES" {
		mounts = append(mounts, FSMount{Source: "tmpfs", Target: "/tmp"})
	}
	for _, m := range mounts {
		if m = m.relative(s.tree()); m.Target != "/" && below(path.Clean(name), m.Target) {
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

func (c CopyOut) set(ctx context.Context, s *Settings) error {
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
	t := transfer{ctx: ctx, from: from, to: to, out: true}
	return t.node(strings.Trim(path.Clean(c.Source), "/"), path.Base(path.Clean(c.Source)))
}

// AddDep has another pot started before this one (add-dep, 6.9).
type AddDep struct{ On Name }

// Validate is Setting's.
func (d AddDep) Validate() error {
	if err := d.On.Validate(); err != nil {
		return fmt.Errorf("-P: %w", err)
	}
	return nil
}

// maxDeps bounds how many pots one depends on, all in all.
const maxDeps = 256

func (d AddDep) set(ctx context.Context, s *Settings) error {
	if err := d.leadsTo(ctx, s); err != nil {
		return err
	}
	return s.edit(func(conf *ConfLines) error {
		for _, on := range conf.Values("pot.depend") {
			if strings.TrimSpace(on) == string(d.On) {
				return nil // once is enough
			}
		}
		return conf.Add("pot.depend", string(d.On))
	})
}

// leadsTo is an error if s would depend on itself, or on what is not there.
func (d AddDep) leadsTo(ctx context.Context, s *Settings) error {
	seen := map[Name]bool{}
	for next := []Name{d.On}; len(next) > 0; {
		name := next[0]
		next = next[1:]
		switch {
		case name == s.name && name == d.On:
			return fmt.Errorf("-P: pot %s cannot depend on itself", s.name)
		case name == s.name:
			return fmt.Errorf("-P: pot %s depends on %s already", d.On, s.name)
		case seen[name]:
			continue
		case len(seen) == maxDeps:
			return fmt.Errorf("-P: pot %s depends on more than %d others", d.On, maxDeps)
		}
		seen[name] = true
		other, err := OpenSettings(ctx, s.host, name)
		if err != nil && name == d.On {
			return fmt.Errorf("-P: %w", err)
		}
		if err != nil {
			continue // what is amiss with it is not of this pot's making
		}
		deps, err := other.Deps()
		if err != nil {
			return err
		}
		next = append(next, deps...)
	}
	return nil
}

// Deps are the pots that are started before this one, in order.
func (s *Settings) Deps() ([]Name, error) {
	conf, err := s.Conf()
	if err != nil {
		return nil, err
	}
	var all []Name
	for _, on := range conf.Values("pot.depend") {
		if on = strings.TrimSpace(on); on != "" {
			all = append(all, Name(on))
		}
	}
	return all, nil
}

// A Hook is when a program of the operator's is run, on the host.
type Hook string

// Hooks.
const (
	PreStart  Hook = "prestart"
	PostStart Hook = "poststart"
	PreStop   Hook = "prestop"
	PostStop  Hook = "poststop"
)

// Hooks are all of them, in the order of a pot's life.
var Hooks = []Hook{PreStart, PostStart, PreStop, PostStop}

// file is where a pot has its program.
func (h Hook) file() string { return confDir + "/" + string(h) + ".sh" }

// SetHook has a program run on the host at some time of the pot's life (set-hook, 6.9).
type SetHook struct {
	Hook Hook
	File string // of the host; it is copied
}

// maxHook bounds a hook's program.
const maxHook = 1 << 20

// Validate is Setting's.
func (h SetHook) Validate() error {
	_, err := h.read()
	return err
}

// read is the program.
func (h SetHook) read() ([]byte, error) {
	f, err := os.OpenFile(h.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is no file", h.File)
	case info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("%s: is no program: it is not executable", h.File)
	case info.Size() > maxHook:
		return nil, fmt.Errorf("%s: is more than %d bytes", h.File, maxHook)
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if n < len(data) {
		return nil, err
	}
	return data, nil
}

func (h SetHook) set(ctx context.Context, s *Settings) error {
	program, err := h.read()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockConf(root)
	if err != nil {
		return err
	}
	defer unlock()
	name := h.Hook.file()
	if err := replace(root, name+".new", program); err != nil {
		return err
	}
	if err := errors.Join(root.Chmod(name+".new", 0o755), root.Rename(name+".new", name)); err != nil {
		return err
	}
	return s.approve(ctx, name, program)
}
