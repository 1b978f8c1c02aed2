package zstream

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Layers reads tar archives that are applied one upon the other, as the layers of a container
// image are (OCI image-spec, layer.md): an entry replaces what the layers below have at its
// path, a whiteout removes it. Paths lead through symbolic links, as in a root of their own;
// a path that leads out of the tree is an error, and so is a name that a layer has twice. A
// Layers is not safe for concurrent use.
type Layers struct{ a *tarReader }

// Names of whiteouts, and of what AUFS keeps in its branches (layer.md, "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	aufsPrefix     = whiteoutPrefix + whiteoutPrefix
	opaqueWhiteout = aufsPrefix + ".opq"
)

// NewLayers returns a tree that has only a root. The caller must close it, unless Files has
// returned the tree.
func NewLayers(o TarOptions) (*Layers, error) {
	a, err := newTarReader(o)
	if err != nil {
		return nil, err
	}
	return &Layers{a}, nil
}

// Apply applies the next layer. It reads all of r. After an error the tree is not usable. A layer
// may end without blocks of zeros, as layers of umoci(1) do, so the caller must verify by its
// digest that it is whole.
func (l *Layers) Apply(ctx context.Context, r io.Reader) error {
	l.a.ctx = ctx
	l.a.layer = &layer{has: map[entryKey]bool{}, pruned: map[uint32]bool{}}
	return l.a.readAll(r)
}

// MkdirAll creates the directories of a path that do not exist, with the attributes of
// directories that no layer has.
func (l *Layers) MkdirAll(path string) error {
	parts, err := components(path)
	if err == nil {
		_, err = l.a.walk(parts, true)
	}
	return err
}

// Files returns the tree, which the caller must close. The Layers must not be used again.
func (l *Layers) Files() (*Files, error) {
	l.a.layer = nil
	return l.a.Files, l.a.spool.w.Flush()
}

// Close frees the space.
func (l *Layers) Close() error { return l.a.spool.Close() }

// layer has the names of the layer that is read, to tell them from the names of the layers below.
type layer struct {
	has    map[entryKey]bool // true for an entry, false for a directory that a path leads through
	pruned map[uint32]bool   // directories that prune has been called for
}

// claim notes that the layer that is read has a name, and removes what the layers below have
// there, unless both are directories. Without layers it does nothing.
func (p *treeBuilder) claim(dir uint32, base string, isDir bool) error {
	if p.layer == nil {
		return nil
	}
	key := entryKey{dir, base}
	i, there := p.find(dir, base)
	both := there && isDir && p.files[i].isDir()
	switch entry, ours := p.layer.has[key]; {
	case entry && !both:
		return errors.New("the layer has it twice")
	case ours && !both:
		return errors.New("the layer has it as a directory, too")
	case there && !both:
		p.unlink(dir, base)
	}
	p.layer.has[key] = true
	return nil
}

// unlink removes a name from dir.
func (p *treeBuilder) unlink(dir uint32, base string) {
	key := entryKey{dir, base}
	names, at := p.files[dir].names, p.byName[key]
	last := len(names) - 1
	names[at] = names[last]
	p.byName[entryKey{dir, names[at].name}] = at
	delete(p.byName, key)
	p.files[dir].names = names[:last]
}

// prune removes from dir, and from all below it, what the layer that is read does not have.
func (p *treeBuilder) prune(dir uint32) {
	if p.layer.pruned[dir] {
		return
	}
	p.layer.pruned[dir] = true
	for _, n := range slices.Clone(p.files[dir].names) {
		switch _, ours := p.layer.has[entryKey{dir, n.name}]; {
		case !ours:
			p.unlink(dir, n.name)
		case p.files[n.file].isDir():
			p.prune(n.file)
		}
	}
}

// whiteout carries out an entry that is a whiteout, and omits AUFS's own files. It returns
// false for other entries.
func (a *tarReader) whiteout(h *tar.Header) (bool, error) {
	parts, err := components(h.Name)
	if err != nil {
		return false, err
	}
	for i, part := range parts {
		switch {
		case !strings.HasPrefix(part, whiteoutPrefix):
		case strings.HasPrefix(part, aufsPrefix) && part != opaqueWhiteout:
			a.omit(omitAUFS)
			return true, nil
		case i < len(parts)-1:
			return true, fmt.Errorf("%.300q, which it is in, is a whiteout", part)
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeLink || h.Size != 0:
			return true, errors.New("a whiteout must be an empty file")
		default:
			return true, a.remove(parts[:i], part)
		}
	}
	return false, nil
}

// remove carries out the whiteout that is called name, in the directory of that path. An
// opaque directory need not exist below: overlayfs also marks those that it creates.
func (a *tarReader) remove(path []string, name string) error {
	opaque := name == opaqueWhiteout
	dir, err := a.walk(path, opaque)
	target := strings.TrimPrefix(name, whiteoutPrefix)
	switch {
	case errors.Is(err, errMissing):
		return fmt.Errorf("a whiteout of nothing: no layer below has %.300q", strings.Join(append(path, target), "/"))
	case err != nil:
		return err
	}
	key := entryKey{dir, name}
	if a.layer.has[key] {
		return errors.New("the layer has it twice")
	}
	a.layer.has[key] = true
	if opaque {
		a.prune(dir)
		return nil
	}
	if err := checkName(target, maxName); err != nil {
		return fmt.Errorf("a whiteout of %w", err)
	}
	i, there := a.find(dir, target)
	_, ours := a.layer.has[entryKey{dir, target}]
	switch {
	case !there && a.layer.pruned[dir]: // the layer has removed all of it
	case !there:
		return fmt.Errorf("a whiteout of nothing: no layer below has %.300q", strings.Join(append(path, target), "/"))
	case !ours:
		a.unlink(dir, target)
	case a.files[i].isDir():
		a.prune(i)
	}
	return nil
}

// maxFollowed bounds the symbolic links in a path (FreeBSD and Linux, MAXSYMLINKS; 40 is the
// larger of both).
const maxFollowed = 40

// errMissing reports that a path does not exist.
var errMissing = errors.New("it is not there")

// walk returns the directory at a path. With create it makes the directories that do not
// exist, and notes that the layer that is read has all of them. It follows symbolic links if
// there are layers; what they lead to is in the tree.
func (p *treeBuilder) walk(parts []string, create bool) (uint32, error) {
	at := []uint32{0} // the directories from the root on
	for followed := 0; len(parts) > 0; {
		part, dir := parts[0], at[len(at)-1]
		parts = parts[1:]
		if part == ".." { // of a link
			if len(at) == 1 {
				return 0, errors.New("a link that it leads through leads out of the tree")
			}
			at = at[:len(at)-1]
			continue
		}
		i, there := p.find(dir, part)
		if !there {
			if !create {
				return 0, errMissing
			}
			var err error
			if i, err = p.add(dir, part, p.missingDir); err != nil {
				return 0, err
			}
		}
		switch f := &p.files[i]; {
		case f.isDir():
			if at = append(at, i); len(at) > maxDepth+1 {
				return 0, fmt.Errorf("more than %d directories deep", maxDepth)
			}
			p.pass(dir, part, create)
		case f.kind() == unix.S_IFLNK && p.layer != nil:
			if followed++; followed > maxFollowed {
				return 0, fmt.Errorf("more than %d symbolic links", maxFollowed)
			}
			if strings.HasPrefix(f.target, "/") {
				at = at[:1]
			}
			parts = append(targetParts(f.target), parts...)
		default:
			return 0, fmt.Errorf("%.300q, which it is in, is no directory", part)
		}
	}
	return at[len(at)-1], nil
}

// pass notes that a path of the layer that is read leads through a directory.
func (p *treeBuilder) pass(dir uint32, base string, create bool) {
	if p.layer == nil || !create {
		return
	}
	if key := (entryKey{dir, base}); !p.layer.has[key] {
		p.layer.has[key] = false
	}
}

// targetParts splits the target of a symbolic link.
func targetParts(target string) []string {
	return slices.DeleteFunc(strings.Split(target, "/"), func(part string) bool { return part == "" || part == "." })
}
