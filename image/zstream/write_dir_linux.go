package zstream

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// hasFlags reports whether a file has flags of chflags(1): Linux has none.
func hasFlags(*syscall.Stat_t) bool { return false }

// listXattrs returns the names of a file's extended attributes, with their namespaces.
func listXattrs(path string, buf []byte) ([]string, error) {
	n, err := unix.Llistxattr(path, buf)
	if err != nil || n == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00"), nil
}
