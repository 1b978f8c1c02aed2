package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks bounds the links on a path, as Linux does (path_resolution(7)). FreeBSD
// follows fewer.
const maxLinks = 40

// maxLinkText is longer than what a link can lead to: PATH_MAX of Linux; FreeBSD's is
// less.
const maxLinkText = 4096

// A walk goes down a tree that others may change, name by name. Each directory that it
// came through stays open: ".." leads back to it, and never above the root, wherever it
// has been moved meanwhile.
type walk struct {
	files []*os.File // the root, and what each of names is
	names []string   // from the root to where the walk is, with no link
	left  []string   // names to go
	links int        // that were followed
}

// namesOf returns the names in a path that say something.
func namesOf(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." })
}

// run goes to the end. It opens each name with step, which is told whether that is the
// last name, and returns ErrLink for a symbolic link. After an error left begins with the
// name that it is about.
func (w *walk) run(step func(dir *os.File, name string, last bool) (*os.File, error)) error {
	for len(w.left) > 0 {
		name := w.left[0]
		w.left = w.left[1:]
		if name == ".." {
			if len(w.names) > 0 {
				w.pop().Close()
			}
			continue
		}
		dir := w.files[len(w.files)-1]
		f, err := step(dir, name, len(w.left) == 0)
		if errors.Is(err, ErrLink) {
			err = w.follow(dir, name)
		} else if err == nil {
			w.files, w.names = append(w.files, f), append(w.names, name)
		}
		if err != nil {
			w.left = append([]string{name}, w.left...)
			return fmt.Errorf("/%s: %w", path.Join(path.Join(w.names...), name), err)
		}
	}
	return nil
}

// pop returns the last file, which the caller must close, and goes back from there.
func (w *walk) pop() *os.File {
	last := len(w.files) - 1
	f := w.files[last]
	w.files, w.names = w.files[:last], w.names[:max(last-1, 0)]
	return f
}

// follow has the walk go where the link called name leads. One that is gone by now is
// looked at again.
func (w *walk) follow(dir *os.File, name string) error {
	if w.links++; w.links > maxLinks {
		return fmt.Errorf("leads through more than %d links", maxLinks)
	}
	buf := make([]byte, maxLinkText)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, fs.ErrNotExist):
		w.left = append([]string{name}, w.left...)
		return nil
	case err != nil:
		return os.NewSyscallError("readlink", err)
	case n == len(buf):
		return errors.New("is a link whose text is too long")
	}
	text := string(buf[:n])
	if path.IsAbs(text) {
		w.toRoot()
	}
	w.left = append(namesOf(text), w.left...)
	return nil
}

func (w *walk) toRoot() {
	for len(w.files) > 1 {
		w.pop().Close()
	}
}

func (w *walk) close() {
	for _, f := range w.files {
		f.Close()
	}
}

// Resolve returns the path, from the root of a tree, that inside leads to with all
// links followed within the tree. It creates nothing: what is missing is no link.
func Resolve(tree, inside string) (string, error) {
	dir, err := openPlain(tree)
	if err != nil {
		return "", err
	}
	w := &walk{left: namesOf(inside), files: []*os.File{dir}}
	defer w.close()
	err = w.run(func(dir *os.File, name string, _ bool) (*os.File, error) { return OpenAt(dir, name) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return "", err
	}
	return path.Join("/", path.Join(w.names...), path.Join(w.left...)), nil
}
