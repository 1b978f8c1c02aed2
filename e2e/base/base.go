// Package base writes archives like base.txz of FreeBSD from files of this machine, for
// pots in tests: the machine may have no network to fetch a release from.
package base

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraryDirs are where the dynamic linker finds libraries without being told
// (FreeBSD: ld-elf.so.1(1); Debian: ld.so(8), with the directory of the architecture).
var libraryDirs = []string{"/lib", "/usr/lib", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64"}

// Libraries returns the paths of the dynamic linker and of all libraries that a program is
// linked with; none for a static program or a script.
func Libraries(program string) ([]string, error) {
	var all []string
	todo := []string{program}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		linker, needed, err := linkedWith(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if linker != "" && !slices.Contains(all, linker) {
			all = append(all, linker)
		}
		for _, name := range needed {
			found, err := findLibrary(name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if !slices.Contains(all, found) {
				all = append(all, found)
				todo = append(todo, found)
			}
		}
	}
	return all, nil
}

// linkedWith returns the dynamic linker that a file names, "" if there is none, and the
// names of the libraries that it needs directly.
func linkedWith(path string) (linker string, needed []string, err error) {
	f, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return "", nil, nil // a script
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			if err != nil {
				return "", nil, err
			}
			linker = strings.TrimRight(string(text), "\x00")
		}
	}
	needed, err = f.ImportedLibraries()
	return linker, needed, err
}

func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s: not in %s", name, strings.Join(libraryDirs, ", "))
}

// parts are what a pot gets of this machine, the most important first (hier(7)). sysrc(8)
// needs the two directories of bsdconfig(8).
var parts = []string{"bin", "usr/share/bsdconfig", "usr/libexec/bsdconfig", "lib", "libexec", "etc", "sbin", "lib64", "usr/lib/x86_64-linux-gnu", "usr/bin", "usr/sbin", "usr/libexec", "usr/lib", "usr/share/misc"}

// left are files that stay on the machine: its secrets, what it starts and mounts, and its
// package manager.
var left = []string{"etc/ssh", "etc/ssl", "etc/master.passwd", "etc/spwd.db", "etc/shadow", "etc/gshadow", "etc/rc.conf", "etc/rc.conf.d", "etc/fstab", "etc/pf.conf", "etc/exports", "etc/zfs", "etc/hostid", "etc/machine-id", "etc/resolv.conf", "usr/sbin/pkg"}

// maxFile bounds each file, in bytes: larger ones are compilers.
const maxFile = 8 << 20

// empty are further directories that a pot needs.
var empty = []string{"dev", "etc", "proc", "root", "tmp", "usr", "usr/local", "var", "var/cache", "var/db", "var/log", "var/run", "var/tmp", "mnt"}

// Write writes an archive like base.txz without its compression, with at most about
// maxBytes of this machine's files, and returns the size of the files in it.
func Write(w io.Writer, maxBytes int64) (n int64, err error) {
	a := archive{w: tar.NewWriter(w), max: maxBytes, links: map[[2]uint64]string{}, done: map[string]bool{}}
	for _, dir := range empty {
		if err := a.directory(dir); err != nil {
			return 0, err
		}
	}
	for _, part := range parts {
		if err := a.tree(part); err != nil {
			return 0, err
		}
	}
	rc := &tar.Header{Name: "etc/rc.conf", Mode: 0o644, Typeflag: tar.TypeReg}
	return a.n, errors.Join(a.w.WriteHeader(rc), a.w.Close())
}

// archive is an archive that is being written.
type archive struct {
	w      *tar.Writer
	n, max int64
	links  map[[2]uint64]string // names by device and inode
	done   map[string]bool      // directories
}

// directory writes a directory after its parents, unless it was written before.
func (a *archive) directory(name string) error {
	if name == "." || a.done[name] {
		return nil
	}
	if err := a.directory(filepath.Dir(name)); err != nil {
		return err
	}
	a.done[name] = true
	mode := int64(0o755)
	if filepath.Base(name) == "tmp" {
		mode = 0o1777
	}
	return a.w.WriteHeader(&tar.Header{Name: name + "/", Mode: mode, Typeflag: tar.TypeDir})
}

// tree writes what is below a directory of this machine, if that exists.
func (a *archive) tree(part string) error {
	if info, err := os.Lstat("/" + part); err != nil || !info.IsDir() {
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return a.link(part) // as /bin is on Debian
		}
		return nil
	}
	return filepath.WalkDir("/"+part, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, "/")
		switch {
		case err != nil:
			return err
		case a.full():
			return fs.SkipAll
		case slices.Contains(left, name):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return a.directory(name)
		case d.Type()&fs.ModeSymlink != 0:
			return a.link(name)
		case d.Type().IsRegular():
			return a.file(name)
		}
		return nil
	})
}

// full reports whether the archive is nearly full. It is not exact: tens of thousands of
// small files would still fit.
func (a *archive) full() bool { return a.n >= a.max-a.max/16 }

func (a *archive) link(name string) error {
	if a.done[name] {
		return nil
	}
	to, err := os.Readlink("/" + name)
	if err != nil {
		return err
	}
	if err := a.directory(filepath.Dir(name)); err != nil {
		return err
	}
	a.done[name] = true
	return a.w.WriteHeader(&tar.Header{Name: name, Linkname: to, Mode: 0o777, Typeflag: tar.TypeSymlink})
}

// file writes a file, or a hard link if its inode was written before.
func (a *archive) file(name string) error {
	f, err := os.Open("/" + name)
	if errors.Is(err, fs.ErrNotExist) || a.done[name] {
		return nil // it has gone meanwhile
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	a.done[name] = true
	mode := int64(info.Mode().Perm())
	if info.Mode()&fs.ModeSetuid != 0 {
		mode |= 0o4000
	}
	if first, again := a.links[inode(info)]; again {
		return a.w.WriteHeader(&tar.Header{Name: name, Linkname: first, Mode: mode, Typeflag: tar.TypeLink})
	}
	if info.Size() > maxFile || a.n+info.Size() > a.max {
		return nil
	}
	a.links[inode(info)] = name
	a.n += info.Size()
	if err := a.w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size(), ModTime: info.ModTime(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.CopyN(a.w, f, info.Size())
	return err
}
