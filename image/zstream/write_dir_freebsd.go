package zstream

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// ufArchive is UF_ARCHIVE (sys/stat.h), which ZFS sets on every change.
const ufArchive = 0x800

// hasFlags reports whether a file has flags of chflags(1).
func hasFlags(st *syscall.Stat_t) bool { return st.Flags&^ufArchive != 0 }

// listXattrs returns the names of a file's extended attributes, with their namespaces.
// Only root can list the system namespace. A length byte precedes each name
// (extattr_list_link(2)).
func listXattrs(path string, buf []byte) (names []string, err error) {
	for namespace, prefix := range map[int]string{
		unix.EXTATTR_NAMESPACE_USER: userPrefix, unix.EXTATTR_NAMESPACE_SYSTEM: "system.",
	} {
		n, err := unix.LlistxattrNS(path, namespace, buf)
		if errors.Is(err, unix.EPERM) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for list := buf[:n]; len(list) > 0 && int(list[0]) < len(list); list = list[1+list[0]:] {
			names = append(names, prefix+string(list[1:1+list[0]]))
		}
	}
	return names, nil
}
