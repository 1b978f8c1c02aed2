package lockdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Names in the cache that are no image's: no name of one begins with a dot.
const (
	Fetching  = ".fetch-"
	Importing = ".import-"
)

// Dir is a directory in the cache for the time of one piece of work. It is
// locked for as long: one that is not locked is what a crash has left, in this
// process or any other.
type Dir struct {
	Path string
	Lock *os.File
}

// atWork are the ids of this process's.
var live sync.Map

// New makes a directory whose name begins with prefix and the number of this
// process, by which its work is known where the directory is taken away.
func New(cache, prefix string) (*Dir, error) {
	for {
		dir, err := os.MkdirTemp(cache, prefix+strconv.Itoa(os.Getpid())+"-")
		if err != nil {
			return nil, err
		}
		t, err := Lock(dir, 0)
		if err == nil {
			live.Store(t.ID(), true)
		}
		if !errors.Is(err, fs.ErrNotExist) { // swept before it was locked
			return t, err
		}
	}
}

// IsStale reports whether nobody is at work under that id any more: no process has
// the number that is in it, or this one has, and does not know of it. An id without
// a number is nobody's to judge.
func IsStale(id string) bool {
	number, _, ok := strings.Cut(id, "-")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 0 {
		return false
	}
	if pid == os.Getpid() {
		_, known := live.Load(id)
		return !known
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// Lock locks dir, which must still be there when it is.
func Lock(dir string, how int) (*Dir, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|how)
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Dir{Path: dir, Lock: f}, nil
}

// ID is the part of its name that no other has.
func (t *Dir) ID() string {
	_, id, _ := strings.Cut(filepath.Base(t.Path), "-")
	return id
}

// Remove takes the directory away with all that is in it.
func (t *Dir) Remove() error {
	defer t.Release()
	return os.RemoveAll(t.Path)
}

// Release leaves the directory for the next sweep.
func (t *Dir) Release() {
	live.Delete(t.ID())
	t.Lock.Close()
}

// RemoveStale calls undo with every directory of that prefix that a crash has left,
// and removes it if that succeeds. What does not is tried at the next sweep.
func RemoveStale(cache, prefix string, undo func(*Dir) error) error {
	dirs, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !strings.HasPrefix(d.Name(), prefix) || !d.IsDir() {
			continue
		}
		t, err := Lock(filepath.Join(cache, d.Name()), syscall.LOCK_NB)
		if err != nil {
			continue // at work, or gone by now
		}
		if undo(t) != nil {
			t.Release()
			continue
		}
		t.Remove()
	}
	return nil
}
