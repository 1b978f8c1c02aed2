package base

import (
	"io/fs"
	"syscall"
)

// inode tells files apart that have several names.
func inode(info fs.FileInfo) [2]uint64 {
	s := info.Sys().(*syscall.Stat_t)
	return [2]uint64{uint64(s.Dev), uint64(s.Ino)}
}
