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

// maxLinks bounds the symbolic links on a path, as Linux does (path_resolution(7)). FreeBSD
// follows fewer.
const maxLinks = 40

// maxLinkText is the size of a buffer for the text of a link: PATH_MAX of Linux. FreeBSD's is
// smaller.
const maxLinkText = 4096

// A walk resolves a path in a tree that others may change, name by name. Each directory on the
// way stays open: ".." leads back to it, and never above the root, wherever it has been moved
// meanwhile.
type walk struct {
	files []*os.File // the root, then the file of each of names
	names []string   // from the root to where the walk is; none is a link
	left  []string   // names that are not resolved yet
	links int        // number of links that were followed
}

// namesOf returns the names in a path, without empty ones and ".".
func namesOf(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." })
}

// run resolves all names. It opens each with step, which must return ErrLink for a symbolic link;
// last is true for the last name. After an error, left begins with the name that failed.
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

// pop goes back by one name and returns its file, which the caller must close.
func (w *walk) pop() *os.File {
	last := len(w.files) - 1
	f := w.files[last]
	w.files, w.names = w.files[:last], w.names[:max(last-1, 0)]
	return f
}

// follow puts the names in the text of the link called name before those that are left. If name is
// no link any more, the walk opens it again.
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
		return errors.New("is a symbolic link whose text is too long")
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

// Resolve returns the path that inside is after all symbolic links are followed within the tree,
// from the root of the tree. It creates nothing: names that do not exist are kept as they are.
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
