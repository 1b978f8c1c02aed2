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

// Prefixes of directories in the cache. No image's name begins with a dot.
const (
	Fetching  = ".fetch-"
	Importing = ".import-"
)

// Dir is a temporary directory in the cache. It is locked as long as it is in use: an
// unlocked one was left by a crash of this or another process. The kernel releases the lock
// when the process ends, however it ends.
type Dir struct {
	Path string
	Lock *os.File // the directory; closing it unlocks
}

// live are the ids of the directories that this process uses, for IsStale.
var live sync.Map

// New creates a directory whose name begins with prefix and the number of this process,
// which IsStale needs if somebody removes the directory. The caller must call Remove or
// Release.
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
		if !errors.Is(err, fs.ErrNotExist) { // RemoveStale may remove it before it is locked
			return t, err
		}
	}
}

// IsStale reports whether the directory with that id, which need not exist any more, is no
// longer in use: there is no process with the number in the id, or it is this process, which
// does not use it. An id without a number is never stale. A process with a reused number
// hides a stale directory.
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

// Lock locks dir; how is 0, to wait for the lock, or LOCK_NB of flock(2), to return
// EWOULDBLOCK instead. It returns fs.ErrNotExist if dir was removed before it had the lock.
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

// ID returns the unique part of the directory's name.
func (t *Dir) ID() string {
	_, id, _ := strings.Cut(filepath.Base(t.Path), "-")
	return id
}

// Remove removes the directory and its contents, and then unlocks it.
func (t *Dir) Remove() error {
	defer t.Release()
	return os.RemoveAll(t.Path)
}

// Release unlocks the directory, and leaves it for the next RemoveStale.
func (t *Dir) Release() {
	live.Delete(t.ID())
	t.Lock.Close()
}

// RemoveStale calls undo with every directory with that prefix that a crash has left, and
// removes it if undo succeeds. If undo fails, the next RemoveStale tries again. Errors of
// single directories are not returned. Several processes may call it at once: the lock gives
// each directory to one.
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
			continue // in use, or removed meanwhile
		}
		if undo(t) != nil {
			t.Release()
			continue
		}
		t.Remove()
	}
	return nil
}
