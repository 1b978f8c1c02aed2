package zstream

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// setMetadata sets all metadata of the file at name in fd.
func (t *tree) setMetadata(fd int, name string, n *znode) error {
	list, err := t.xattrs(n)
	if err != nil {
		return err
	}
	return t.omitted.setMetadata(fd, name, n, list)
}

// setMetadata sets extended attributes, owner, times and mode of the file at name in fd,
// and counts what it omits. The mode comes last: chown clears set-user-ID bits, and
// without a permissive mode only root can continue.
func (left omissions) setMetadata(fd int, name string, n *znode, list []Xattr) error {
	if err := left.setXattrs(fd, name, n, list); err != nil {
		return err
	}
	err := unix.Fchownat(fd, name, int(n.uid), int(n.gid), unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		left["owners, which only root can give"]++
		err = nil
	}
	if err != nil {
		return os.NewSyscallError("chown", err)
	}
	times := []unix.Timespec{n.atime, n.mtime}
	if err := unix.UtimesNanoAt(fd, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return os.NewSyscallError("utimensat", err)
	}
	// A file system may change a time that does not fit 32 bits, without an error.
	if sec := n.mtime.Sec; int64(sec) <= -1<<31 || int64(sec) >= 1<<31-1 {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return os.NewSyscallError("stat", err)
		}
		if st.Mtim != n.mtime {
			left["times before or after all that the file system knows"]++
		}
	}
	if err := chmod(fd, name, n.mode); err != nil {
		return os.NewSyscallError("chmod", err)
	}
	if n.flags&aclTrivial == 0 {
		left["access control lists"]++
	}
	if n.flags&fileFlags != 0 {
		left["file flags"]++
	}
	return nil
}

// setXattrs sets extended attributes in the user namespace of files and directories,
// where the file system supports them. On other files and in other namespaces they would
// mean something else here, or grant rights.
func (left omissions) setXattrs(fd int, name string, n *znode, list []Xattr) error {
	if len(list) == 0 {
		return nil
	}
	const kind = "extended attributes"
	if n.fileType() != unix.S_IFREG && n.fileType() != unix.S_IFDIR {
		left[kind]++
		return nil
	}
	f, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(f)
	all := true
	for _, x := range list {
		// An image must not set overlayfs's own attributes
		// (Documentation/filesystems/overlayfs.rst, "userxattr").
		own := strings.HasPrefix(x.Name, "overlay.")
		if x.Namespace != "user" || own || x.Value == nil && x.Size > 0 {
			all = false
			continue
		}
		switch err := unix.Fsetxattr(f, "user."+x.Name, x.Value, 0); {
		case isXattrRefused(err):
			all = false
		case err != nil:
			return os.NewSyscallError("setxattr", err)
		}
	}
	if !all {
		left[kind]++
	}
	return nil
}

// isXattrRefused reports whether err means that the file system does not support
// extended attributes, or none of this size or name. Ext4 has room for 4 KiB and returns
// ENOSPC beyond.
func isXattrRefused(err error) bool {
	for _, e := range []error{unix.EOPNOTSUPP, unix.E2BIG, unix.ENOSPC, unix.EDQUOT, unix.ERANGE, unix.EINVAL, unix.EPERM, unix.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
