// Package nmount mounts file systems on FreeBSD: in this process's root, or in a tree as the root
// of another process.
//
// It imports the standard library and pot/exact alone: it is part of pot-supervisor.
package nmount

import "strings"

// Beneath is a mount in a tree where others can write to a directory on the way to the
// mount point. nmount(2) takes paths and follows symbolic links (sys/kern/vfs_mount.c,
// vfs_domount; FOLLOW). A process that has the tree as its root resolves no path outside it.
type Beneath struct {
	Root  string   `json:"root"`  // of the tree
	Words []string `json:"words"` // of nmount(2); fspath is below Root, a relative source below the host's root
}

// Words are the names and values of nmount(2)'s options, in turn, for a file system
// type. Options are NAME or NAME=VALUE, as mount(8) and mount_nullfs(8) pass them on
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
