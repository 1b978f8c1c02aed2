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

// mountNamespace is a mount namespace that holds one small file system in memory, with
// mount points for a jail's root and for the program of its first process. A jail's mount
// namespace starts as a copy of it: a copy of the host's takes longer the more pots are
// mounted there. It is created once and lives as long as this process.
type mountNamespace struct {
	mu sync.Mutex
	ns netns.NsHandle // 0: not created yet
}

// emptyNamespace is shared by all hosts of this process, which only work in copies of it.
var emptyNamespace mountNamespace

// Mount points in the namespace.
const (
	namespaceRoot    = "/root"
	namespaceProgram = "/pot-supervisor" // ps(1) shows the last element
)

// run calls f on a thread in a copy of the namespace, with the tree at root and all mounts
// below it on namespaceRoot, and program on namespaceProgram. The thread is in the network
// namespace net too, if that is one. Processes that f starts stay there.
func (b *mountNamespace) run(net netns.NsHandle, root, program string, f func() error) error {
	bare, err := b.open(root)
	if err != nil {
		return err
	}
	tree, err := copyMount(root, unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	binary, err := copyMount(program, 0)
	if err != nil {
		return err
	}
	defer unix.Close(binary)
	done := make(chan error)
	go supervise.OnOwnThread(func() {
		err := enter(net, bare)
		if err == nil {
			err = errors.Join(attach(tree, namespaceRoot), attach(binary, namespaceProgram), setReadOnly(namespaceProgram))
		}
		if err == nil {
			err = f()
		}
		done <- err
	})
	return <-done
}

// enter moves the calling thread into the network namespace and into a copy of the mount
// namespace.
func enter(net, mounts netns.NsHandle) error {
	if net.IsOpen() {
		if err := netns.Set(net); err != nil {
			return os.NewSyscallError("setns net", err)
		}
	}
	// A thread that shares its directory with others cannot change its mount namespace
	// (setns(2), EINVAL).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Setns(int(mounts), unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("setns mnt", err)
	}
	return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNS))
}

// copyMount returns a copy of the mount at path that is not attached anywhere
// (open_tree(2), Linux 5.2). The caller must close the descriptor.
func copyMount(path string, flags uint) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	return fd, nil
}

// attach mounts what copyMount returned, and makes it private: mounts that come and go
// below it are not seen elsewhere.
func attach(tree int, on string) error {
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, on, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount", Path: on, Err: err}
	}
	return os.NewSyscallError("mount", unix.Mount("", on, "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// setReadOnly remounts path read-only. The pot sees its first process and, through /proc,
// the file that it runs from (supervise, executable).
func setReadOnly(path string) error {
	const flags = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	return os.NewSyscallError("mount", unix.Mount("", path, "", flags, ""))
}

// open returns the namespace and creates it in the first call. While it is created, a file
// system is mounted on dir, any directory, which no other process sees.
func (b *mountNamespace) open(dir string) (netns.NsHandle, error) {
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

// make creates the namespace. The calling thread must end afterwards.
func (b *mountNamespace) make(dir string) error {
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
	if err := pivotToEmpty(dir); err != nil {
		return errors.Join(err, unix.Close(ns))
	}
	b.ns = netns.NsHandle(ns)
	return nil
}

// pivotToEmpty makes a new file system the only mount in the thread's mount namespace.
func pivotToEmpty(dir string) error {
	if err := unix.Mount("bare", dir, "tmpfs", unix.MS_NODEV, "mode=700,size=4k"); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if err := os.Mkdir(filepath.Join(dir, namespaceRoot), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, namespaceProgram), nil, 0o500); err != nil {
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
