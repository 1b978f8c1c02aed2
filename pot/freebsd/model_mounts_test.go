package freebsd

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"nomad-driver-pot/pot/supervise/nmount"
	"nomad-driver-pot/pot/tree"
)

// The model's mounts. A path has a real file below it, where no mount is: what a nullfs
// shows is found by the mount table.

// over is the newest mount on a path or above it.
func (m *model) over(path string) MountPoint {
	var found MountPoint
	for _, p := range m.mounts {
		if (path == p.On || strings.HasPrefix(path, strings.TrimSuffix(p.On, "/")+"/")) && len(p.On) >= len(found.On) {
			found = p
		}
	}
	return found
}

// lower is the real file of a path without links. What is no nullfs has its files where
// it is mounted.
func (m *model) lower(path string) string {
	p := m.over(path)
	switch {
	case p.Type == "nullfs":
		return m.lowers[p.ID] + strings.TrimPrefix(path, p.On)
	case p.On == "" || p.On == "/":
		return path
	}
	return filepath.Join(m.lower(filepath.Dir(p.On)), filepath.Base(p.On), strings.TrimPrefix(path, p.On))
}

// namei is the path without links of what name leads to, from the directory at, for a
// process whose root is root. Links are followed. (sys/kern/vfs_lookup.c, namei)
func (m *model) namei(root, at, name string) (string, error) {
	if path.IsAbs(name) {
		at = root
	}
	left := strings.Split(name, "/")
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			if at != root { // vfs_lookup: ni_rootdir
				at = filepath.Dir(at)
			}
			continue
		}
		next := filepath.Join(at, part)
		info, err := os.Lstat(m.lower(next))
		switch {
		case err != nil:
			return "", err.(*fs.PathError).Err
		case info.Mode().Type() != fs.ModeSymlink:
			at = next
			continue
		}
		if links++; links > 32 { // MAXSYMLINKS
			return "", syscall.ELOOP
		}
		text, err := os.Readlink(m.lower(next))
		must0(err)
		if path.IsAbs(text) {
			at = root
		}
		left = append(strings.Split(text, "/"), left...)
	}
	return at, nil
}

// nmount is nmount(2) of a process whose root is root and whose working directory is the
// host's root: it follows links on both paths when it looks them
// up, and f_mntonname is the path of what it found; for a file seen from root. (sys/kern/vfs_mount.c, vfs_domount:
// NDINIT with FOLLOW, vn_path_to_global_path; sys/fs/nullfs/null_vfsops.c, nullfs_mount:
// NDINIT with FOLLOW)
func (m *model) nmount(root string, p MountPoint, options []string) error {
	on, err := m.namei(root, "/", p.On)
	if err != nil {
		return err
	}
	covered, err := os.Lstat(m.lower(on))
	if err != nil {
		return err.(*fs.PathError).Err
	}
	above := m.over(on)
	switch isFile := covered.Mode().IsRegular(); {
	case isFile && above.On == on: // vfs_domount: MNT_NOCOVER for a VREG that is VV_ROOT
		return syscall.EBUSY
	case isFile && covered.Sys().(*syscall.Stat_t).Nlink != 1: // vfs_domount_first
		return syscall.EINVAL
	case isFile && p.Type != "nullfs": // vfs_domount_first: VFCF_FILEMOUNT
		return syscall.ENOTDIR
	case !isFile && !covered.IsDir():
		return syscall.EINVAL
	}
	for _, o := range options {
		if slices.Contains([]string{"ro", "nosuid", "noexec", "nosymfollow"}, o) {
			p.Options = append(p.Options, o)
		}
	}
	lower := ""
	if p.Type == "nullfs" {
		from, err := m.namei(root, "/", p.From)
		if err != nil {
			return err
		}
		lower = m.lower(from)
		shown, err := os.Lstat(lower)
		if err != nil {
			return err.(*fs.PathError).Err
		}
		if above.Type == "nullfs" && os.SameFile(covered, shown) {
			if from != above.below(on) {
				panic("vn_lock_pair spins: two layers above one vnode have its lock: " + from + " on " + on)
			}
			return syscall.EDEADLK
		}
		if shown.IsDir() != covered.IsDir() || !shown.IsDir() && !shown.Mode().IsRegular() {
			return syscall.EINVAL
		}
		for _, o := range m.over(from).Options { // nullfs_statfs
			p.Options = union(p.Options, o)
		}
	}
	p.On = on
	if covered.Mode().IsRegular() { // vn_path_to_global_path_hardlink: as the process sees it
		p.On = "/" + strings.TrimPrefix(strings.TrimPrefix(on, root), "/")
	}
	p = onHost(p)
	m.addMount(p)
	m.landed = append(m.landed, p)
	if p.Type == "nullfs" {
		m.lowers[m.mounts[len(m.mounts)-1].ID] = lower
	}
	if p.Type == "devfs" && m.devMem {
		must0(os.WriteFile(m.lower(on)+"/mem", nil, 0o600))
	}
	return nil
}

// called takes down a mount, and is whether it fails.
func (m *model) calledMount(p MountPoint, options []string) bool {
	words := []string{"nmount", p.Type, p.On}
	if p.Type == "nullfs" {
		words = []string{"nmount", p.Type, p.From, p.On}
	}
	return m.called(append(words, options...)...)
}

// Mount implements Kernel.
func (m *model) Mount(p MountPoint, options ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calledMount(p, options) {
		return errInjected
	}
	if m.mounting != nil {
		m.mounting(p)
	}
	return m.nmount("/", p, options)
}

// supervisor is pot-supervisor's other life: nmount.Run.
func (m *model) supervisor(stdin io.Reader, argv []string) (string, string) {
	if !slices.Equal(argv, []string{"mount"}) {
		panic(fmt.Sprint("the model has no pot-supervisor ", argv))
	}
	var b nmount.Beneath
	must0(json.NewDecoder(stdin).Decode(&b))
	words := map[string]string{}
	var options []string
	for i := 0; i < len(b.Words); i += 2 {
		words[b.Words[i]] = b.Words[i+1]
		if i >= 6 {
			options = append(options, strings.TrimSuffix(b.Words[i]+"="+b.Words[i+1], "="))
		}
	}
	p := MountPoint{Type: words["fstype"], From: words["target"], On: words["fspath"]}
	seen := MountPoint{Type: p.Type, From: filepath.Join("/", p.From), On: b.Root + p.On}
	m.commands[len(m.commands)-1] = strings.Join(append([]string{"nmount", p.Type, seen.From, seen.On}, options...), " ")
	if m.mounting != nil {
		m.mounting(seen)
	}
	root, err := m.namei("/", "/", b.Root)
	if err != nil {
		return "", "chroot " + b.Root + ": " + err.Error()
	}
	if err := m.nmount(root, p, options); err != nil {
		return "", "nmount: " + err.Error()
	}
	return "", ""
}

// OpenAt implements Kernel.
func (m *model) OpenAt(dir *os.File, name string) (*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := filepath.Join(dir.Name(), name)
	p := m.over(at)
	if p.On != at || p.Type != "nullfs" {
		return tree.OpenAt(dir, name)
	}
	f, err := tree.OpenSource(m.lowers[p.ID], true)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	must0(err)
	return os.NewFile(uintptr(fd), at), nil
}

// StatFS implements Kernel.
func (m *model) StatFS(f *os.File) (MountPoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over(f.Name()), nil
}

// Unmount implements Kernel.
func (m *model) Unmount(p MountPoint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.called("unmount", p.On) {
		return errInjected
	}
	i := slices.IndexFunc(m.mounts, func(other MountPoint) bool { return p.ID == other.ID })
	if i < 0 {
		return fs.ErrNotExist
	}
	if p.Type == "devfs" {
		os.Remove(m.lower(p.On) + "/mem")
	}
	m.mounts = slices.Delete(m.mounts, i, i+1)
	return nil
}
