package freebsd

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot/exact"
	"nomad-driver-pot/pot/supervise/nmount"
)

// treeName is the last part of the path of a pot's tree.
const treeName = "m"

// maxMountName bounds a mount's source (sys/mount.h, MNAMELEN, with the NUL).
const maxMountName = 1024

// nmount mounts what point says on t, in the tree at root. Where others can write to a
// directory on the way to t, a process does it that has root as its root: a link leads to
// something in the tree. This process has one root, and one working directory, for all
// its threads.
func (m mounts) nmount(ctx context.Context, root string, t target, point MountPoint, options ...string) error {
	if !t.shared {
		return m.kernel.Mount(point, options...)
	}
	from := point.From
	if filepath.IsAbs(from) {
		from = fromWorkDir(root, from, t.info.IsDir())
	}
	if len(from) >= maxMountName {
		return fmt.Errorf("source: %s: path is too long", point.From)
	}
	text, err := exact.Marshal(nmount.Beneath{
		Root:  root,
		Words: nmount.Words(point.Type, from, strings.TrimPrefix(t.Path, root), options...),
	})
	if err != nil {
		return err
	}
	_, err = m.runner.Run(ctx, bytes.NewReader(text), m.supervisor, "mount")
	return err
}

// fromWorkDir returns the path of a source for a process that has the tree at root as
// its root, and the host's root as its working directory. The kernel notes the path of a
// file that is mounted on as that process sees it (sys/kern/vfs_cache.c,
// vn_fullpath_hardlink), so the path of the source leads through the pot's directory, and
// says which pot's the mount is.
func fromWorkDir(root, path string, isDir bool) string {
	if isDir {
		return "." + path
	}
	dir := filepath.Dir(root)
	return "." + dir + strings.Repeat("/..", strings.Count(dir, "/")) + path
}

// onHost returns p as the host sees it, with what fromWorkDir has done undone.
func onHost(p MountPoint) MountPoint {
	if p.Type != "nullfs" || !strings.HasPrefix(p.From, "./") {
		return p
	}
	dir, _, ofFile := strings.Cut(p.From, "/../")
	if ofFile {
		p.On = filepath.Join("/", dir, treeName, p.On)
	}
	p.From = filepath.Join("/", p.From)
	return p
}
