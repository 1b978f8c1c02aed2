package zstream

import (
	"errors"
	"fmt"
	"strings"
)

// treeBuilder builds a tree from paths in any order. A later file of the same name
// replaces the earlier one.
type treeBuilder struct {
	*Files
	byName     map[entryKey]int // index in the names of the directory
	missingDir file             // attributes of a directory that the input does not have
	maxFiles   int              // at most maxFiles
	layer      *layer           // nil: there are no layers, and of two entries the later wins
}

// entryKey is a name in a directory.
type entryKey struct {
	dir  uint32
	name string
}

// newTreeBuilder returns a tree with a root only.
func newTreeBuilder(c contentSource, dir file) *treeBuilder {
	return &treeBuilder{Files: newFiles(c), byName: map[entryKey]int{}, missingDir: dir, maxFiles: maxFiles}
}

// put creates a file at a path. An existing directory keeps its entries and gets the
// attributes of f.
func (p *treeBuilder) put(path string, f file) (uint32, error) {
	dir, base, err := p.parent(path)
	if err != nil {
		return 0, err
	}
	i := uint32(0)
	if base != "" {
		if err := p.claim(dir, base, f.isDir()); err != nil {
			return 0, err
		}
		var there bool
		if i, there = p.find(dir, base); !there || !p.files[i].isDir() || !f.isDir() {
			if there && p.files[i].isDir() {
				return 0, errors.New("it is a directory already")
			}
			return p.add(dir, base, f)
		}
	} else if !f.isDir() {
		return 0, errors.New("the root must be a directory")
	}
	f.names = p.files[i].names
	p.files[i] = f
	return i, nil
}

// add creates a file with a name in dir.
func (p *treeBuilder) add(dir uint32, base string, f file) (uint32, error) {
	if len(p.files) >= p.maxFiles {
		return 0, fmt.Errorf("there are more than %d files", p.maxFiles)
	}
	p.files = append(p.files, f)
	i := uint32(len(p.files) - 1)
	return i, p.setName(dir, base, i)
}

// setName gives file i a name in dir, and replaces the file of that name. A replaced file
// without another name is not written.
func (p *treeBuilder) setName(dir uint32, base string, i uint32) error {
	key := entryKey{dir, base}
	if at, there := p.byName[key]; there {
		p.files[dir].names[at].file = i
		return nil
	}
	p.byName[key] = len(p.files[dir].names)
	return p.link(dir, base, i)
}

// find returns the file of that name in dir.
func (p *treeBuilder) find(dir uint32, base string) (uint32, bool) {
	at, there := p.byName[entryKey{dir, base}]
	if !there {
		return 0, false
	}
	return p.files[dir].names[at].file, true
}

// findPath returns the file at a path.
func (p *treeBuilder) findPath(path string) (uint32, error) {
	parts, err := components(path)
	if err != nil || len(parts) == 0 {
		return 0, err
	}
	last := len(parts) - 1
	dir, err := p.walk(parts[:last], false)
	if err != nil && !errors.Is(err, errMissing) {
		return 0, fmt.Errorf("%.300q: %w", path, err)
	}
	if i, there := p.find(dir, parts[last]); there && err == nil {
		return i, nil
	}
	return 0, fmt.Errorf("%.300q is not there", path)
}

// parent returns the directory of a path, which it creates if missing, and the last
// component: "" for the root.
func (p *treeBuilder) parent(path string) (dir uint32, base string, err error) {
	parts, err := components(path)
	if err != nil || len(parts) == 0 {
		return 0, "", err
	}
	last := len(parts) - 1
	dir, err = p.walk(parts[:last], true)
	return dir, parts[last], err
}

// components splits a path from the root, with or without a leading /. It refuses a path
// with "..".
func components(path string) (parts []string, err error) {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." {
			continue
		}
		if err := checkName(part, maxName); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if len(parts) > maxDepth {
		return nil, fmt.Errorf("more than %d directories deep", maxDepth)
	}
	return parts, nil
}
