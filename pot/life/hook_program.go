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

// maxHook bounds a hook's program.
const maxHook = 1 << 20

// ReadHook returns a pot's program for that time from a dataset, which may be anybody's:
// it follows no link, and waits for no fifo. No program, and a file that is not
// executable, is fs.ErrNotExist: as with pot, nothing is run then.
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

// ReadProgram reads a program that a user knows by that name.
func ReadProgram(f *os.File, name string) ([]byte, error) {
	return tree.ReadAtMost(f, name, maxHook)
}

// WriteHook makes a program the pot's for that time, whole or not at all. mode is that of
// the file.
func WriteHook(root *os.Root, h conf.Hook, program []byte, mode fs.FileMode) error {
	// A child that another goroutine starts meanwhile would have the file open for writing
	// until it executes something, and so long the kernel executes no such file (ETXTBSY).
	syscall.ForkLock.RLock()
	err := tree.Replace(root, h.File()+".new", program)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	return errors.Join(root.Chmod(h.File()+".new", mode), root.Rename(h.File()+".new", h.File()))
}

// hookArgv is the argument vector for a program. A text that does not say what reads it is
// for the shell, as if a shell had started it.
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
