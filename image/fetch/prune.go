package fetch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
)

// suffixes are the suffixes of an image's files in the cache.
var suffixes = []string{"", ".meta", ".skein", ".skein.sig", privateSuffix}

// keptImage is an image in the cache.
type keptImage struct {
	file  string // of the .xz
	bytes int64  // of all its files
	used  time.Time
}

// kept returns the images in the cache, the least recently used first, and the total size
// of all files there, including those that belong to no image.
func (c *Cache) kept() (images []keptImage, total int64, err error) {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone by now
		}
		total += info.Size()
		name := filepath.Join(c.Dir, e.Name())
		if _, err := os.Lstat(name + ".skein"); err != nil || !strings.HasSuffix(name, ".xz") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		image := keptImage{file: name, used: info.ModTime()}
		for _, suffix := range suffixes {
			if info, err := os.Lstat(name + suffix); err == nil {
				image.bytes += info.Size()
			}
		}
		images = append(images, image)
	}
	slices.SortFunc(images, func(a, b keptImage) int { return a.used.Compare(b.used) })
	return images, total, nil
}

// prune removes the least recently used images until need more bytes fit within CacheBytes;
// it returns nil even if they do not fit then. ref's image stays, whatever its size. A
// process that has a removed image open can still read it.
func (c *Cache) prune(ctx context.Context, ref image.Ref, need int64) error {
	if c.Options.CacheBytes == 0 {
		return nil
	}
	unlock, err := lockdir.LockShared(ctx, c.Dir) // an image may be downloaded again meanwhile
	if err != nil {
		return err
	}
	defer unlock()
	images, total, err := c.kept()
	if err != nil {
		return err
	}
	own := filepath.Join(c.Dir, ref.File())
	for _, image := range images {
		if total+need <= c.Options.CacheBytes {
			return nil
		}
		if image.file == own {
			continue
		}
		for _, suffix := range suffixes { // the .xz first: without it there is no image
			if err := os.Remove(image.file + suffix); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		total -= image.bytes
	}
	return nil
}

// touch records that an image was used, as the modification time of its .xz. Best effort:
// it only orders the images for prune.
func (c *Cache) touch(ref image.Ref) {
	now := time.Now()
	os.Chtimes(filepath.Join(c.Dir, ref.File()), now, now)
}
