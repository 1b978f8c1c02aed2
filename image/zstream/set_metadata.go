package zstream

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// setMetadata gives what is at name in fd all that is its own but its content.
func (t *tree) setMetadata(fd int, name string, n *znode) error {
	list, err := t.xattrs(n)
	if err != nil {
		return err
	}
	return t.omitted.setMetadata(fd, name, n, list)
}

// setMetadata gives what is at name in fd its extended attributes, owner, times and
// mode, and notes what it does not get. The mode comes last: a new owner takes
// set-user-ID bits away, and without a mode that allows it nothing but root gets
// further.
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

// setXattrs sets those of the namespace user, of files and directories, where the
// file system takes them: of other files, and other namespaces, they would mean
// something else here, or give rights.
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
		// What overlayfs reads for itself is not for an image to say
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

// isXattrRefused tells whether that is what a file system says that takes no extended
// attributes, or none so large or of such a name. Ext4 has room for 4 KiB, and
// says that the disk is full.
func isXattrRefused(err error) bool {
	for _, e := range []error{unix.EOPNOTSUPP, unix.E2BIG, unix.ENOSPC, unix.EDQUOT, unix.ERANGE, unix.EINVAL, unix.EPERM, unix.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
