package image

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
	fetching  = ".fetch-"
	importing = ".import-"
)

// temp is a directory in the cache for the time of one piece of work. It is
// locked for as long: one that is not locked is what a crash has left, in this
// process or any other.
type temp struct {
	dir  string
	lock *os.File
}

// atWork are the ids of this process's.
var atWork sync.Map

// newTemp makes a directory whose name begins with prefix and the number of this
// process, by which its work is known where the directory is taken away.
func newTemp(cache, prefix string) (*temp, error) {
	for {
		dir, err := os.MkdirTemp(cache, prefix+strconv.Itoa(os.Getpid())+"-")
		if err != nil {
			return nil, err
		}
		t, err := lockTemp(dir, 0)
		if err == nil {
			atWork.Store(t.id(), true)
		}
		if !errors.Is(err, fs.ErrNotExist) { // swept before it was locked
			return t, err
		}
	}
}

// abandoned tells whether nobody is at work under that id any more: no process has
// the number that is in it, or this one has, and does not know of it. An id without
// a number is nobody's to judge.
func abandoned(id string) bool {
	number, _, ok := strings.Cut(id, "-")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 0 {
		return false
	}
	if pid == os.Getpid() {
		_, known := atWork.Load(id)
		return !known
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// lockTemp locks dir, which must still be there when it is.
func lockTemp(dir string, how int) (*temp, error) {
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
	return &temp{dir: dir, lock: f}, nil
}

// id is the part of its name that no other has.
func (t *temp) id() string {
	_, id, _ := strings.Cut(filepath.Base(t.dir), "-")
	return id
}

// remove takes the directory away with all that is in it.
func (t *temp) remove() error {
	defer t.release()
	return os.RemoveAll(t.dir)
}

// release leaves the directory for the next sweep.
func (t *temp) release() {
	atWork.Delete(t.id())
	t.lock.Close()
}

// sweep calls undo with every directory of that prefix that a crash has left,
// and removes it if that succeeds. What does not is tried at the next sweep.
func sweep(cache, prefix string, undo func(*temp) error) error {
	dirs, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !strings.HasPrefix(d.Name(), prefix) || !d.IsDir() {
			continue
		}
		t, err := lockTemp(filepath.Join(cache, d.Name()), syscall.LOCK_NB)
		if err != nil {
			continue // at work, or gone by now
		}
		if undo(t) != nil {
			t.release()
			continue
		}
		t.remove()
	}
	return nil
}
