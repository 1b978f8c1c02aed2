package fetch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"nomad-driver-pot/image/lockdir"
)

// partialPrefix begins the names of interrupted downloads in the cache, which the next
// download of the same file continues.
const partialPrefix = ".partial-"

// Bounds on partial downloads: older ones, and more than partialCount, are removed.
const (
	partialAge   = 24 * time.Hour
	partialCount = 16
)

// validatorSuffix ends the name of the file beside a partial download that has the
// validator (RFC 9110, section 8.8) of the whole, for If-Range.
const validatorSuffix = ".validator"

// partial is a file whose download is in progress, or was interrupted.
type partial struct {
	file *os.File // locked
	name string   // "" for one that no later download resumes
	done bool     // close removes it, unless publish has renamed it

	newHash func() hash.Hash
	hash    hash.Hash // of what was written
	n       int64     // how many bytes that is
}

// openPartial returns the partial of a file, hashed and ready to be resumed; the caller must
// close it. key identifies the file by its URL and its digest. If another download is writing
// that partial, openPartial returns a new one in t.
func (c *Cache) openPartial(t *lockdir.Dir, key string, newHash func() hash.Hash) (*partial, error) {
	id := sha256.Sum256([]byte(key))
	p := &partial{name: filepath.Join(c.Dir, fmt.Sprintf("%s%x", partialPrefix, id[:16])), newHash: newHash}
	var err error
	if p.file, err = lockPartial(p.name); errors.Is(err, syscall.EWOULDBLOCK) {
		p.name = ""
		p.file, err = os.OpenFile(filepath.Join(t.Path, "partial"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return p, p.rehash()
}

// lockPartial opens and locks a file. It starts over if another process renamed or removed
// the file before it had the lock. If another process has the lock, it returns EWOULDBLOCK.
func lockPartial(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			var held, there fs.FileInfo
			if held, err = f.Stat(); err == nil {
				there, err = os.Lstat(name)
			}
			if err == nil && os.SameFile(held, there) {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// rehash hashes the bytes that the file has, and moves to its end. The hash's state is not
// stored: a crash could leave it different from the file.
func (p *partial) rehash() error {
	p.hash = p.newHash()
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var err error
	p.n, err = io.Copy(p.hash, p.file)
	return err
}

// restart discards all bytes, so that the download begins again.
func (p *partial) restart() error {
	p.hash, p.n = p.newHash(), 0
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// Write implements io.Writer: it appends to the file and the hash.
func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.n += int64(n)
	return n, err
}

// validator returns the validator that was stored with the file, or "".
func (p *partial) validator() string {
	if p.name == "" || p.n == 0 {
		return ""
	}
	text, err := readSmall(p.name + validatorSuffix)
	if err != nil {
		return ""
	}
	return string(text)
}

// validate stores the validator of the file that is being downloaded. It ignores one that
// is longer than smallLimit, and does nothing for a partial that no download resumes.
func (p *partial) validate(v string) error {
	if p.name == "" || len(v) > smallLimit {
		return nil
	}
	return os.WriteFile(p.name+validatorSuffix, []byte(v), 0o600)
}

// publish renames the complete file to as.
func (p *partial) publish(as string) error {
	from := p.name
	if from == "" {
		from = p.file.Name()
	}
	p.done = true
	return os.Rename(from, as)
}

// close closes the file, and removes it if done or empty.
func (p *partial) close() {
	if p.name != "" && (p.done || p.n == 0) {
		os.Remove(p.name + validatorSuffix)
		if !p.published() {
			os.Remove(p.name)
		}
	}
	p.file.Close()
}

// published reports whether the file was renamed or removed.
func (p *partial) published() bool {
	held, err := p.file.Stat()
	there, err2 := os.Lstat(p.name)
	return errors.Join(err, err2) != nil || !os.SameFile(held, there)
}

// removeStalePartials removes partial downloads that no process is using and that are older
// than partialAge, or not among the partialCount newest. It is best effort: the next call
// tries again.
func (c *Cache) removeStalePartials(now time.Time) {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return
	}
	type one struct {
		name string
		at   time.Time
	}
	var all []one
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), partialPrefix) && !strings.HasSuffix(e.Name(), validatorSuffix) {
			all = append(all, one{filepath.Join(c.Dir, e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b one) int { return b.at.Compare(a.at) })
	for i, p := range all {
		if i < partialCount && now.Sub(p.at) < partialAge {
			continue
		}
		if f, err := lockPartial(p.name); err == nil { // no process is using it
			os.Remove(p.name + validatorSuffix)
			os.Remove(p.name)
			f.Close()
		}
	}
}
