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

// A Copy is a file or a directory of the host, copied into a pot before anything
// runs there.
type Copy struct {
	Source string // on the host, absolute
	Target string // in the pot, absolute

	Resolved bool `json:",omitempty"` // as Mount's
}

// CopyIn copies c into a tree. A directory that is there is copied into, under the
// source's name; so is a file (pot-reference 6.8). Neither tree is trusted: no link
// in them is followed, and no path leaves them.
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
		return err
	}
	t := transfer{ctx: ctx, from: from, to: root}
	return t.node(name, to)
}

// CopyOut copies a file or a directory of a pot, source in from, to target in to.
func CopyOut(ctx context.Context, from *os.Root, source string, to *os.Root, target string) error {
	t := transfer{ctx: ctx, from: from, to: to, out: true}
	return t.node(source, target)
}

// transfer copies from one tree to another.
type transfer struct {
	ctx      context.Context
	from, to *os.Root
	out      bool // to the host, where a pot's programs are nobody's but their caller's
}

// node copies what is at source, and all below it, to target.
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
	return fmt.Errorf("%s: is neither file nor directory nor link, and cannot be copied", source)
}

// directory copies into one that is there already as into a new one.
func (t *transfer) directory(source, target string, info fs.FileInfo) error {
	if err := t.to.Mkdir(target, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if made, err := t.to.Lstat(target); err != nil || !made.IsDir() {
		return errors.Join(err, fmt.Errorf("%s: is there already, and no directory", target))
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
	if opened, err := in.Stat(); err != nil || !opened.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s: is no file any more", source))
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

// clear takes away what is at target, if it is no directory.
func (t *transfer) clear(target string) error {
	info, err := t.to.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s: is there already, and a directory", target)
	}
	return t.to.Remove(target)
}

// finish gives target its owner, mode and time.
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

// owner is the user and the group that something is of, by the host's numbers.
func owner(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return 0, 0
}

// untilDone reads until a context ends.
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
