package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Copy is a file or a directory of the host that is copied into a pot before anything runs
// there.
type Copy struct {
	Source string // on the host, absolute
	Target string // in the pot, absolute

	Resolved bool `json:",omitempty"` // Source has no symbolic links: see OpenSource
}

// CopyIn copies c into a tree. If the target is a directory, the copy goes into it, under the
// name of the source, as pot copy-in documents. Neither the source's directory nor the tree is
// trusted: CopyIn copies symbolic links as links, and no path leads out of either.
func CopyIn(ctx context.Context, tree string, c Copy) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	from, err := openRoot(filepath.Dir(c.Source), c.Resolved)
	if err != nil {
		return err
	}
	defer from.Close()
	name := filepath.Base(c.Source)
	to := strings.Trim(path.Clean(c.Target), "/")
	if info, err := root.Lstat(to); err == nil && info.IsDir() {
		to = path.Join(to, name)
	} else if err := MkdirAll(root, path.Dir(to)); err != nil {
		return TrimOp(err)
	}
	t := transfer{ctx: ctx, from: from, to: root}
	return TrimOp(t.node(name, to))
}

// CopyOut copies a file or a directory of a pot, source in from, to target in to. Copies have
// neither set-user-ID nor set-group-ID bits.
func CopyOut(ctx context.Context, from *os.Root, source string, to *os.Root, target string) error {
	t := transfer{ctx: ctx, from: from, to: to, out: true}
	return TrimOp(t.node(source, target))
}

// transfer copies from one tree to another.
type transfer struct {
	ctx      context.Context
	from, to *os.Root
	out      bool // to the host, where a pot's programs must not run with the rights of their owner
}

// node copies the file at source, or the directory with all below it, to target.
func (t *transfer) node(source, target string) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	info, err := t.from.Lstat(source)
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return t.directory(source, target, info)
	case fs.ModeSymlink:
		return t.link(source, target, info)
	case 0:
		return t.file(source, target, info)
	}
	return fmt.Errorf("%s: only regular files, directories and symbolic links can be copied", source)
}

// directory copies a directory. If target is a directory, its other files stay.
func (t *transfer) directory(source, target string, info fs.FileInfo) error {
	if err := t.to.Mkdir(target, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if made, err := t.to.Lstat(target); err != nil {
		return err
	} else if !made.IsDir() {
		return fmt.Errorf("%s: already exists, and is not a directory", target)
	}
	entries, err := fs.ReadDir(t.from.FS(), source)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := t.node(path.Join(source, e.Name()), path.Join(target, e.Name())); err != nil {
			return err
		}
	}
	return t.finish(target, info)
}

func (t *transfer) link(source, target string, info fs.FileInfo) error {
	to, err := t.from.Readlink(source)
	if err != nil {
		return err
	}
	if err := t.clear(target); err != nil {
		return err
	}
	if err := t.to.Symlink(to, target); err != nil {
		return err
	}
	uid, gid := owner(info)
	return t.to.Lchown(target, uid, gid)
}

func (t *transfer) file(source, target string, info fs.FileInfo) error {
	in, err := t.from.OpenFile(source, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if opened, err := in.Stat(); err != nil {
		return err
	} else if !opened.Mode().IsRegular() {
		return fmt.Errorf("%s: was replaced during the copy", source)
	}
	if err := t.clear(target); err != nil {
		return err
	}
	out, err := t.to.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, untilDone{t.ctx, in})
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return t.finish(target, info)
}

// clear removes the file at target. It returns an error if that is a directory.
func (t *transfer) clear(target string) error {
	info, err := t.to.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s: already exists, and is a directory", target)
	}
	return t.to.Remove(target)
}

// finish sets the owner, the mode and the time of target.
func (t *transfer) finish(target string, info fs.FileInfo) error {
	uid, gid := owner(info)
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if t.out {
		mode &^= fs.ModeSetuid | fs.ModeSetgid
	}
	return errors.Join(
		t.to.Chown(target, uid, gid),
		t.to.Chmod(target, mode),
		t.to.Chtimes(target, time.Time{}, info.ModTime()),
	)
}

// owner returns the user and group IDs of a file.
func owner(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return 0, 0
}

// untilDone is a reader that returns an error once its context is done.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
