//go:build linux

package linux

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/supervise"
)

// bare is a mount namespace with one file system in memory, and in that no more
// than what a jail's root and its first process's program are mounted on. A jail's
// mounts begin as a copy of it: a copy of the host's would take the longer the
// more pots are mounted there. It is made once, and is there as long as this
// process.
type bare struct {
	mu sync.Mutex
	ns netns.NsHandle // 0: not made yet
}

// oneBare is enough for all hosts of this process: whatever is done with it is
// done with copies.
var oneBare bare

// What there is in a bare namespace.
const (
	bareRoot    = "/root"
	bareProgram = "/pot-supervisor" // ps shows the last part of it
)

// within runs f in a copy of the namespace that has the tree at root, with all
// that is mounted there, on bareRoot, and program as bareProgram; and in the
// network net, if it is one. Processes that f starts stay there.
func (b *bare) within(net netns.NsHandle, root, program string, f func() error) error {
	bare, err := b.open(root)
	if err != nil {
		return err
	}
	tree, err := detached(root, unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	binary, err := detached(program, 0)
	if err != nil {
		return err
	}
	defer unix.Close(binary)
	done := make(chan error)
	go supervise.OnOwnThread(func() {
		err := enter(net, bare)
		if err == nil {
			err = errors.Join(attach(tree, bareRoot), attach(binary, bareProgram), protect(bareProgram))
		}
		if err == nil {
			err = f()
		}
		done <- err
	})
	return <-done
}

// enter takes the calling thread to the network and into a copy of the mounts.
func enter(net, mounts netns.NsHandle) error {
	if net.IsOpen() {
		if err := netns.Set(net); err != nil {
			return os.NewSyscallError("setns net", err)
		}
	}
	// A thread that shares its directory with others cannot change mount
	// namespaces (setns(2), EINVAL).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Setns(int(mounts), unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("setns mnt", err)
	}
	return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNS))
}

// detached is a copy of the mount at path, that is mounted nowhere yet
// (open_tree(2), Linux 5.2).
func detached(path string, flags uint) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	return fd, nil
}

// attach mounts what is detached, and lets no mount that comes and goes there be
// seen elsewhere.
func attach(tree int, on string) error {
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, on, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount", Path: on, Err: err}
	}
	return os.NewSyscallError("mount", unix.Mount("", on, "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// protect makes what is mounted there read-only: the first process is seen in the pot, and
// so is the file that it runs from (supervise, executable).
func protect(path string) error {
	const flags = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	return os.NewSyscallError("mount", unix.Mount("", path, "", flags, ""))
}

// open is the namespace, which is made at the first call. On dir, any directory,
// something is mounted for the time of its making, seen by nobody else.
func (b *bare) open(dir string) (netns.NsHandle, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ns != 0 {
		return b.ns, nil
	}
	done := make(chan error)
	go supervise.OnOwnThread(func() { done <- b.make(dir) })
	if err := <-done; err != nil {
		return 0, fmt.Errorf("make mount namespace: %w", err)
	}
	return b.ns, nil
}

// make makes the namespace on a thread that is of no use afterwards.
func (b *bare) make(dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	ns, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := emptied(dir); err != nil {
		return errors.Join(err, unix.Close(ns))
	}
	b.ns = netns.NsHandle(ns)
	return nil
}

// emptied leaves the thread's mount namespace with a new file system alone.
func emptied(dir string) error {
	if err := unix.Mount("bare", dir, "tmpfs", unix.MS_NODEV, "mode=700,size=4k"); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if err := os.Mkdir(filepath.Join(dir, bareRoot), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, bareProgram), nil, 0o500); err != nil {
		return err
	}
	// pivot_root(2), "pivot_root(".", ".")": the old root ends up on top.
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	return os.NewSyscallError("umount", unix.Unmount(".", unix.MNT_DETACH))
}
