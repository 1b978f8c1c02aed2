package life

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/tree"
)

// maxHook bounds the size of a hook's program, in bytes.
const maxHook = 1 << 20

// ReadHook reads the program of a hook from the dataset at root, which is not trusted: it
// follows no link and does not wait for a fifo. It returns fs.ErrNotExist if there is no
// program, or if the file is not executable: as with pot, the hook is not run then.
func ReadHook(root *os.Root, h conf.Hook) ([]byte, error) {
	dir, err := root.Lstat(conf.Dir)
	if err != nil {
		return nil, err
	}
	if !dir.IsDir() {
		return nil, fmt.Errorf("%s: is not a directory", conf.Dir)
	}
	seen, err := root.Lstat(h.File())
	switch {
	case err != nil:
		return nil, err
	case !seen.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file", h.File())
	case seen.Mode()&0o111 == 0:
		return nil, &fs.PathError{Op: "run", Path: h.File(), Err: fs.ErrNotExist}
	}
	f, err := root.OpenFile(h.File(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(seen, opened) {
		return nil, errors.Join(err, fmt.Errorf("%s: was replaced meanwhile", h.File()))
	}
	return ReadProgram(f, h.File())
}

// ReadProgram reads a hook's program. name is the file's name for error messages.
func ReadProgram(f *os.File, name string) ([]byte, error) {
	return tree.ReadAtMost(f, name, maxHook)
}

// WriteHook writes the program of a hook with that file mode, whole or not at all.
func WriteHook(root *os.Root, h conf.Hook, program []byte, mode fs.FileMode) error {
	// A child that another goroutine forks meanwhile would inherit the file, open for
	// writing, until it executes a program. For that time the kernel would refuse to execute
	// the file (ETXTBSY).
	syscall.ForkLock.RLock()
	err := tree.Replace(root, h.File()+".new", program)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	return errors.Join(root.Chmod(h.File()+".new", mode), root.Rename(h.File()+".new", h.File()))
}

// hookArgv returns the argument vector that runs file. A script without a #! line is run by
// /bin/sh, as a shell would run it.
func hookArgv(file string) []string {
	start := make([]byte, 4)
	if f, err := os.Open(file); err == nil {
		n, _ := io.ReadFull(f, start)
		start = start[:n]
		f.Close()
	}
	if s := string(start); strings.HasPrefix(s, "#!") || s == "\x7fELF" {
		return []string{file}
	}
	return []string{"/bin/sh", file}
}
