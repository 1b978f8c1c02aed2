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

// partialPrefix begins the names of downloads in the cache that did not come to
// their end, which the next one of the same goes on with.
const partialPrefix = ".partial-"

// Bounds on those: older ones, and more than so many, are removed.
const (
	partialAge   = 24 * time.Hour
	partialCount = 16
)

// validatorEnding is of the file beside a partial with the validator of what it is
// part of (RFC 9110, section 8.8), as If-Range has it.
const validatorEnding = ".validator"

// partial is a file as far as its download has come.
type partial struct {
	file *os.File // locked
	name string   // "" for one that no later download resumes
	done bool     // it is not to be kept

	newHash func() hash.Hash
	hash    hash.Hash // of what was written
	n       int64     // how many bytes that is
}

// openPartial returns what there is of a file, ready to be resumed. key says what file that
// is, by its URL and its digest. A partial that another download is writing is left to it:
// then this one begins anew, in t.
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
	return p, p.again()
}

// lockPartial opens and locks a file that is still there when it is.
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

// again reads what there is.
func (p *partial) again() error {
	p.hash = p.newHash()
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var err error
	p.n, err = io.Copy(p.hash, p.file)
	return err
}

// restart throws away what there is.
func (p *partial) restart() error {
	p.hash, p.n = p.newHash(), 0
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// Write goes on.
func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.n += int64(n)
	return n, err
}

// validator is what was kept with it.
func (p *partial) validator() string {
	if p.name == "" || p.n == 0 {
		return ""
	}
	text, err := readSmall(p.name + validatorEnding)
	if err != nil {
		return ""
	}
	return string(text)
}

// validate keeps the validator of what is being written.
func (p *partial) validate(v string) error {
	if p.name == "" || len(v) > smallLimit {
		return nil
	}
	return os.WriteFile(p.name+validatorEnding, []byte(v), 0o600)
}

// publish gives the whole file its name.
func (p *partial) publish(as string) error {
	from := p.name
	if from == "" {
		from = p.file.Name()
	}
	p.done = true
	return os.Rename(from, as)
}

// close keeps what there is for the next one, unless it is of no use.
func (p *partial) close() {
	if p.name != "" && (p.done || p.n == 0) {
		os.Remove(p.name + validatorEnding)
		if !p.published() {
			os.Remove(p.name)
		}
	}
	p.file.Close()
}

// published tells whether the file has another name by now.
func (p *partial) published() bool {
	held, err := p.file.Stat()
	there, err2 := os.Lstat(p.name)
	return errors.Join(err, err2) != nil || !os.SameFile(held, there)
}

// sweepPartials removes those that nobody went on with.
func (c *Cache) sweepPartials(now time.Time) {
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
		if err == nil && strings.HasPrefix(e.Name(), partialPrefix) && !strings.HasSuffix(e.Name(), validatorEnding) {
			all = append(all, one{filepath.Join(c.Dir, e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b one) int { return b.at.Compare(a.at) })
	for i, p := range all {
		if i < partialCount && now.Sub(p.at) < partialAge {
			continue
		}
		if f, err := lockPartial(p.name); err == nil { // nobody is at work on it
			os.Remove(p.name + validatorEnding)
			os.Remove(p.name)
			f.Close()
		}
	}
}
