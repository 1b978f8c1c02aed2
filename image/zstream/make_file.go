package zstream

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// placeFile gives a file its name in the directory fd. A file with several names also
// stays in the stage, to be linked from there.
func (t *tree) placeFile(fd int, name string, o *dnode, n *znode) error {
	staged := contentName(o.number)
	if o.nameCount == 1 {
		if err := t.makeFile(staged, o, n); errors.Is(err, errOmitted) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if n.links <= 1 {
		return os.NewSyscallError("rename", rename(t.stagefd, staged, fd, name))
	}
	err := unix.Linkat(t.stagefd, staged, fd, name, 0)
	if errors.Is(err, unix.ENOENT) && n.isDevice() && os.Geteuid() != 0 {
		return nil // its first name was omitted
	}
	return os.NewSyscallError("link", err)
}

// errOmitted means that a file cannot be created here and was counted as omitted.
var errOmitted = errors.New("left out")

// makeFile creates a file in the stage with all its metadata.
func (t *tree) makeFile(staged string, o *dnode, n *znode) (err error) {
	switch n.fileType() {
	case unix.S_IFREG:
		err = t.makeRegular(staged, o, n)
	case unix.S_IFLNK:
		err = t.makeSymlink(staged, o, n)
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
		err = t.makeSpecial(staged, o, n)
	default:
		err = objectError(o.number, fmt.Errorf("there is no file of mode %o", n.mode))
	}
	if err != nil {
		return err
	}
	return t.setMetadata(t.stagefd, staged, n)
}

// makeRegular sets the length of a regular file: its content arrived in whole blocks, or
// not at all if it is empty or a hole.
func (t *tree) makeRegular(staged string, o *dnode, n *znode) error {
	if o.hasData && o.storage != storedInFile {
		return objectError(o.number, errors.New("its attributes do not begin like a file's"))
	}
	if o.hasData {
		if err := t.stage.unshare(staged); err != nil {
			return err
		}
		if o.size == n.size {
			return nil
		}
	}
	// Data beyond the length belongs to the last block, or is damage. Without
	// LARGE_BLOCKS a block arrives in parts, and its size is unknown.
	if o.size-n.size >= maxPayload {
		return objectError(o.number, fmt.Errorf("%d bytes were written to a file of %d", o.size, n.size))
	}
	flags := unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if !o.hasData {
		flags |= unix.O_CREAT | unix.O_EXCL
	}
	f, err := unix.Openat(t.stagefd, staged, flags, 0o600)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(f)
	if n.size == 0 && !o.hasData {
		return nil
	}
	return os.NewSyscallError("truncate", unix.Ftruncate(f, n.size))
}

// makeSymlink creates a symbolic link to any target: nothing follows it here.
func (t *tree) makeSymlink(staged string, o *dnode, n *znode) error {
	target, err := n.target()
	if err != nil {
		return objectError(o.number, err)
	}
	return os.NewSyscallError("symlink", unix.Symlinkat(target, t.stagefd, staged))
}

// makeSpecial creates a fifo, a socket without a listener, or a device with the device
// number of the sending host.
func (t *tree) makeSpecial(staged string, o *dnode, n *znode) error {
	dev := uint64(0)
	if n.isDevice() {
		dev = unix.Mkdev(uint32(n.rdev>>32), uint32(n.rdev))
	}
	err := mknod(t.stagefd, staged, n.fileType()|0o600, dev)
	if n.isDevice() && errors.Is(err, unix.EPERM) {
		t.omitted["device nodes, which only root can make"]++
		return errOmitted
	}
	return os.NewSyscallError("mknod", err)
}

// renameByLink renames a file and fails if the new name exists, as link(2) does. The file
// must not be a directory.
func renameByLink(fromfd int, from string, tofd int, to string) error {
	if err := unix.Linkat(fromfd, from, tofd, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(fromfd, from, 0)
}
