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

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/skein"
)

// partialPrefix begins the names of downloads in the cache that did not come to
// their end, which the next one of the same goes on with.
const partialPrefix = ".partial-"

// Bounds on those: older ones, and more than so many, are removed.
const (
	partialAge   = 24 * time.Hour
	partialCount = 16
)

// validatorSuffix is of the file beside a partial with the validator of what it is
// part of (RFC 9110, section 8.8), as If-Range has it.
const validatorSuffix = ".validator"

// partial is an .xz as far as it has come.
type partial struct {
	file *os.File // locked
	name string   // "" for one that nobody will go on with
	hash *skeinHash
	done bool // it is not to be kept
}

// skeinHash is a digest of what was written, and of how much.
type skeinHash struct {
	h hash.Hash
	n int64
}

// openPartial is what there is of ref's .xz with that digest, ready to be gone on
// with. One that another is at work on is left to it.
func (c *Cache) openPartial(t *lockdir.Dir, ref image.Ref, want image.Digest) (*partial, error) {
	id := sha256.Sum256([]byte(ref.String() + " " + want.String()))
	p := &partial{name: filepath.Join(c.Dir, fmt.Sprintf("%s%x", partialPrefix, id[:16]))}
	var err error
	if p.file, err = lockPartial(p.name); errors.Is(err, syscall.EWOULDBLOCK) {
		p.name = ""
		p.file, err = os.OpenFile(filepath.Join(t.Path, ref.File()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return p, p.rehash()
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

// rehash reads what there is.
func (p *partial) rehash() error {
	p.hash = &skeinHash{h: skein.New()}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	n, err := io.Copy(p.hash.h, p.file)
	p.hash.n = n
	return err
}

// restart throws away what there is.
func (p *partial) restart() error {
	p.hash = &skeinHash{h: skein.New()}
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// Write goes on.
func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash.h.Write(b[:n])
	p.hash.n += int64(n)
	return n, err
}

// validator is what was kept with it.
func (p *partial) validator() string {
	if p.name == "" || p.hash.n == 0 {
		return ""
	}
	text, err := readSmall(p.name + validatorSuffix)
	if err != nil {
		return ""
	}
	return string(text)
}

// validate keeps the validator of what is being written.
func (p *partial) validate(v string) error {
	if p.name == "" || len(v) > SmallLimit {
		return nil
	}
	return os.WriteFile(p.name+validatorSuffix, []byte(v), 0o600)
}

// publish gives the whole file its name, and keeps it open.
func (p *partial) publish(as string) (*os.File, error) {
	from := p.name
	if from == "" {
		from = p.file.Name()
	}
	p.done = true
	if err := os.Rename(from, as); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(as, os.O_RDONLY, 0)
	return f, err
}

// close keeps what there is for the next one, unless it is of no use.
func (p *partial) close() {
	if p.name != "" && (p.done || p.hash.n == 0) {
		os.Remove(p.name + validatorSuffix)
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

// removeStalePartials removes those that nobody went on with.
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
		if f, err := lockPartial(p.name); err == nil { // nobody is at work on it
			os.Remove(p.name + validatorSuffix)
			os.Remove(p.name)
			f.Close()
		}
	}
}
