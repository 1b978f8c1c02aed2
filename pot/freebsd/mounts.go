package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
	"nomad-driver-pot/pot/tree"
)

// mounts implements pot.Mounts with nullfs(4) and tmpfs(4).
type mounts struct {
	runner     run.Runner
	kernel     MountKernel
	supervisor string // path of pot-supervisor
}

// overlayDirs hold the mount points of directories that were split; they are beside
// a pot's tree.
const overlayDirs = "skeletons"

// A source is the file or directory that a nullfs shows.
type source struct {
	path    string // with no link in it
	info    os.FileInfo
	options []string // of the mount
}

// A target is a mount point, and where it is.
type target struct {
	*tree.Target
	info   os.FileInfo
	on     MountPoint // that is mounted there, or else that it is in
	shared bool       // others can write to a directory on the way to it
}

// Mount implements pot.Mounts. Like any nullfs, it shows what is in the source's own
// file system, not what is mounted below it. Files can be mounted since FreeBSD 14.0.
// root is as Mounts of the kernel has it.
func (m mounts) Mount(ctx context.Context, root string, what pot.Mount) error {
	if what.Source == "" {
		return m.tmpfs(ctx, root, what.Target)
	}
	path := what.Source
	if !what.Resolved {
		var err error
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return fmt.Errorf("source: %w", err)
		}
	}
	f, s, err := m.source(path)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer f.Close() // until then its number is no other file's
	if what.ReadOnly {
		s.options = union(s.options, "ro")
	}
	return m.place(ctx, root, what.Target, s)
}

// source opens a source. A mount of it forbids what the mount forbids that the source
// is on: nullfs has flags of its own (sys/kern/kern_exec.c, exec_check_permissions).
// The caller must close the file.
func (m mounts) source(path string) (*os.File, source, error) {
	f, err := m.open("/", path)
	if err != nil {
		return nil, source{}, err
	}
	info, err1 := f.Stat()
	at, err2 := m.kernel.StatFS(f)
	if err := errors.Join(err1, err2); err != nil {
		f.Close()
		return nil, source{}, fmt.Errorf("%s: %w", path, err)
	}
	return f, source{path: path, info: info, options: at.Options}, nil
}

// union returns options with another, in order.
func union(options []string, more string) []string {
	if slices.Contains(options, more) {
		return options
	}
	return append(slices.Clone(options), more)
}

// errLink is a link on the way to a mount point where none may be followed.
var errLink = errors.New("is a link: mounts follow none")

// plainTarget is target, but a link on the way is an error.
func (m mounts) plainTarget(root, inside string) (target, error) {
	return m.openTarget(root, inside, true, func(dir *os.File, name string) (*os.File, error) {
		f, err := m.kernel.OpenAt(dir, name)
		if errors.Is(err, tree.ErrLink) {
			err = errLink
		}
		return f, err
	})
}

// target opens the mount point inside of the tree at root, and makes it. It is shared
// if the way to it leads through a directory of the host that is mounted there.
func (m mounts) target(root, inside string, isDir bool) (target, error) {
	return m.openTarget(root, inside, isDir, m.kernel.OpenAt)
}

// openTarget opens a mount point by open, which sees each directory on the way: a nullfs
// there, except of our own overlays, is a directory that others can write to.
func (m mounts) openTarget(root, inside string, isDir bool, open tree.Opener) (target, error) {
	var t target
	ours := filepath.Join(filepath.Dir(root), overlayDirs) + "/"
	opened, err := tree.OpenTarget(root, inside, isDir, func(dir *os.File, name string) (*os.File, error) {
		at, err := m.kernel.StatFS(dir)
		if err != nil {
			return nil, err
		}
		t.shared = t.shared || at.Type == "nullfs" && !strings.HasPrefix(at.From, ours)
		return open(dir, name)
	})
	if err != nil {
		return target{}, err
	}
	var err1, err2 error
	t.Target = opened
	t.info, err1 = t.File.Stat()
	t.on, err2 = m.kernel.StatFS(t.File)
	if err := errors.Join(err1, err2); err != nil {
		t.Close()
		return target{}, fmt.Errorf("%s: %w", inside, err)
	}
	return t, nil
}

// place mounts s on inside of the tree at root. Where s is seen already, through the
// mount of a directory above it, that mount is split.
func (m mounts) place(ctx context.Context, root, inside string, s source) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t, err := m.target(root, inside, s.info.IsDir())
	if err != nil {
		return fmt.Errorf("target %w", err)
	}
	defer t.Close()
	inside = strings.TrimPrefix(t.Path, root) // from here on, wherever links lead
	mounted := t.on.On == t.Path
	seen, err := m.seen(t, s)
	switch {
	case err != nil:
		return err
	case seen && mounted: // as a piece of what was split before
		return m.exchange(ctx, root, t.on, func() error { return m.replace(ctx, root, inside, t.on, s) })
	case seen:
		return m.exchange(ctx, root, t.on, func() error { return m.split(ctx, root, t.on, t.Path, s) })
	case mounted && !t.info.IsDir(): // no file is mounted on one that is (vfs_domount, MNT_NOCOVER)
		return m.replace(ctx, root, inside, t.on, s)
	}
	return m.put(ctx, root, t, s)
}

// errSeen is a mount that would cover a vnode with itself.
var errSeen = errors.New("it is seen there already, through the mount of a directory above it: mount one of them elsewhere")

// seen reports whether s is seen at t already, through the nullfs that t is in. It is an
// error if s is seen there through yet another mount: nmount(2) would never return.
func (m mounts) seen(t target, s source) (bool, error) {
	if t.on.Type != "nullfs" || !sameBelow(s.info, t.info) {
		return false, nil
	}
	path := t.on.below(t.Path)
	if path == s.path {
		return true, nil
	}
	// Clones of a dataset have files with the same number and birth.
	a, err1 := m.bottom(path)
	b, err2 := m.bottom(s.path)
	if err1 == nil && err2 == nil && a != b {
		return false, nil
	}
	return false, errors.Join(errSeen, err1, err2)
}

// maxLayers bounds how many nullfs mounts show one another.
const maxLayers = 16

// bottom returns the path of a file where no nullfs shows it.
func (m mounts) bottom(path string) (string, error) {
	for range maxLayers {
		f, err := m.open("/", path)
		if err != nil {
			return "", err
		}
		at, err := m.kernel.StatFS(f)
		f.Close()
		if err != nil || at.Type != "nullfs" {
			return path, err
		}
		path = at.below(path)
	}
	return "", fmt.Errorf("%s: more than %d nullfs mounts above one another", path, maxLayers)
}

// below returns the path of the source that is seen at path.
func (p MountPoint) below(path string) string {
	return filepath.Join(p.From, strings.TrimPrefix(path, p.On))
}

// put mounts s on t, and sees that nothing took the place of either meanwhile:
// nmount(2) takes paths and follows links.
func (m mounts) put(ctx context.Context, root string, t target, s source) error {
	var before []MountPoint
	if t.shared {
		var err error
		if before, err = m.kernel.Mounts(); err != nil {
			return fmt.Errorf("read mounts: %w", err)
		}
	}
	point := MountPoint{Type: "nullfs", From: s.path, On: t.Path}
	err := m.nmount(ctx, root, t, point, s.options...)
	switch {
	case errors.Is(err, syscall.EDEADLK): // sys/fs/nullfs/null_vfsops.c, nullfs_mount
		return errSeen
	case err == nil:
		err = m.verify(t, s)
	case !t.shared:
		return err
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return m.unput(ctx, root, t, s, before) }))
}

// unput unmounts what put has mounted, wherever that is. Where others can write, put has
// mounted it below root, and nothing of before is it. Elsewhere it is the newest mount of
// s that is in no other pot.
func (m mounts) unput(ctx context.Context, root string, t target, s source, before []MountPoint) error {
	table, err := m.kernel.Mounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	pots := filepath.Dir(filepath.Dir(root)) + "/"
	for _, p := range slices.Backward(table) {
		below := strings.HasPrefix(p.On, root+"/")
		switch {
		case p.Type != "nullfs" || p.From != s.path:
			continue
		case t.shared && (!below || slices.ContainsFunc(before, func(b MountPoint) bool { return b.ID == p.ID })):
			continue
		case !t.shared && !below && strings.HasPrefix(p.On, pots):
			continue
		}
		if err := m.unmount(ctx, p); err != nil || !t.shared {
			return err
		}
	}
	return nil
}

// verify reports what is wrong with the mount of s on t.
func (m mounts) verify(t target, s source) error {
	f, err := m.kernel.OpenAt(t.Dir, t.Base)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer f.Close()
	at, err := m.kernel.StatFS(f)
	if err != nil {
		return fmt.Errorf("target: %s: %w", t.Path, err)
	}
	if at.Type != "nullfs" || at.On != t.Path || at.From != s.path {
		return fmt.Errorf("target: %s: %w", t.Path, tree.ErrLink)
	}
	seen, err := f.Stat()
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if !sameBelow(s.info, seen) {
		return fmt.Errorf("source: %s: %w", s.path, tree.ErrLink)
	}
	return nil
}

// UnmountAll implements pot.Mounts. It is forced: nothing runs in the pot any more.
func (m mounts) UnmountAll(ctx context.Context, root string) error {
	err := m.unmountIf(ctx, func(p MountPoint) bool { return strings.HasPrefix(p.On, root+"/") })
	if err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(filepath.Dir(root), overlayDirs))
}

// unmountIf unmounts the mounts that match, the newest first.
func (m mounts) unmountIf(ctx context.Context, goes func(MountPoint) bool) error {
	table, err := m.kernel.Mounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for _, p := range slices.Backward(table) {
		if !goes(p) {
			continue
		}
		if err := m.unmount(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// unmount unmounts one file system, by its ID. It returns nil if that is not mounted.
func (m mounts) unmount(ctx context.Context, p MountPoint) error {
	return retryBusy(ctx, func() error { return ignore(fs.ErrNotExist, m.kernel.Unmount(p)) })
}
