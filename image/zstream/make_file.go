package zstream

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// link gives a file that is no directory a name in the directory fd. One of many
// names stays in the stage too, to be linked to the others from there.
func (t *tree) link(fd int, name string, o *staged, n *node) error {
	staged := contentName(o.number)
	if o.names == 1 {
		if err := t.ready(staged, o, n); errors.Is(err, errLeftOut) {
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
		return nil // its first name was left out
	}
	return os.NewSyscallError("link", err)
}

// errLeftOut is for what cannot be made here, and has been noted.
var errLeftOut = errors.New("left out")

// ready makes a file in the stage all that it is to be.
func (t *tree) ready(staged string, o *staged, n *node) (err error) {
	switch n.kind() {
	case unix.S_IFREG:
		err = t.readyFile(staged, o, n)
	case unix.S_IFLNK:
		err = t.readyLink(staged, o, n)
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
		err = t.readySpecial(staged, o, n)
	default:
		err = objectError(o.number, fmt.Errorf("there is no file of mode %o", n.mode))
	}
	if err != nil {
		return err
	}
	return t.finish(t.stagefd, staged, n)
}

// readyFile gives content its length: it came in whole blocks, or not at all
// where the file is empty or a hole.
func (t *tree) readyFile(staged string, o *staged, n *node) error {
	if o.data && o.home != inFile {
		return objectError(o.number, errors.New("its attributes do not begin as those of a file"))
	}
	if o.data {
		if err := t.stage.unshare(staged); err != nil {
			return err
		}
		if o.size == n.size {
			return nil
		}
	}
	// What is written beyond the length is of the same block, or damage. Without
	// LARGE_BLOCKS a block comes in parts, and its own size is not told.
	if o.size-n.size >= maxPayload {
		return objectError(o.number, fmt.Errorf("%d bytes were written to a file of %d", o.size, n.size))
	}
	flags := unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if !o.data {
		flags |= unix.O_CREAT | unix.O_EXCL
	}
	f, err := unix.Openat(t.stagefd, staged, flags, 0o600)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(f)
	if n.size == 0 && !o.data {
		return nil
	}
	return os.NewSyscallError("truncate", unix.Ftruncate(f, n.size))
}

// readyLink makes a symbolic link, to anywhere: nothing follows it here.
func (t *tree) readyLink(staged string, o *staged, n *node) error {
	target, err := n.target()
	if err != nil {
		return objectError(o.number, err)
	}
	return os.NewSyscallError("symlink", unix.Symlinkat(target, t.stagefd, staged))
}

// readySpecial makes a fifo, a socket that nobody listens at, or a device. That
// has the numbers which it had where the stream is from; what they mean is for
// whoever opens it here.
func (t *tree) readySpecial(staged string, o *staged, n *node) error {
	dev := uint64(0)
	if n.isDevice() {
		dev = unix.Mkdev(uint32(n.rdev>>32), uint32(n.rdev))
	}
	err := mknod(t.stagefd, staged, n.kind()|0o600, dev)
	if n.isDevice() && errors.Is(err, unix.EPERM) {
		t.left["device nodes, which only root can make"]++
		return errLeftOut
	}
	return os.NewSyscallError("mknod", err)
}

// relink is a rename that fails if there is a file at to.
func relink(fromfd int, from string, tofd int, to string) error {
	if err := unix.Linkat(fromfd, from, tofd, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(fromfd, from, 0)
}
