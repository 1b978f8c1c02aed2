// Package nmount mounts file systems on FreeBSD: here, and from within a directory.
//
// It imports the standard library alone: it is part of pot-supervisor.
package nmount

import "strings"

// Beneath is a mount on something in a directory that others can write to. nmount(2)
// takes paths and follows symbolic links (sys/kern/vfs_mount.c, vfs_domount; FOLLOW).
// A process that has the directory as its root finds no path out of it.
type Beneath struct {
	Dir      string   `json:"dir"` // the directory
	Dev, Ino uint64   // of Dir, as stat(2) has them: another is refused
	Words    []string `json:"words"` // of nmount(2); fspath is seen from Dir, a source from the host's root
}

// Words are the names and values of nmount(2)'s options, in turn, for a file system of
// a type. Options are NAME or NAME=VALUE, as mount(8) and mount_nullfs(8) hand them on
// (sbin/mount/mount_fs.c, sbin/mount_nullfs/mount_nullfs.c).
func Words(fstype, from, on string, options ...string) []string {
	source := "from"
	if fstype == "nullfs" {
		source = "target"
	}
	words := []string{"fstype", fstype, "fspath", on, source, from}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		words = append(words, name, value)
	}
	return words
}
