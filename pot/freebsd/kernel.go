package freebsd

import (
	"errors"
	"net/netip"
	"os"
)

// Kernel is what is asked of the kernel itself: a command would be wasteful,
// ambiguous, or racy.
type Kernel interface {
	// JailID is the ID of the jail of that name, dying or not as asked. None is
	// fs.ErrNotExist. (jail_get(2))
	JailID(name string, dying bool) (int, error)

	// Jails are the names of all jails that are not dying. (jail_get(2))
	Jails() ([]string, error)

	// RemoveJail kills all that runs in a jail and removes it; its end may take
	// longer. One that is gone is no error. (jail_remove(2))
	RemoveJail(id int) error

	// Usage is rctl_get_racct(2)'s line for a jail: "cputime=0,datasize=0,…". A
	// jail that is not there has zeros.
	Usage(jail string) (string, error)

	// Mount mounts m.From at m.On, with options NAME or NAME=VALUE. Links on both
	// paths are followed. What covers itself, through another nullfs, is
	// syscall.EDEADLK. (nmount(2), mount_nullfs(8))
	Mount(m MountPoint, options ...string) error

	// OpenAt is pot.OpenAt. (openat(2))
	OpenAt(dir *os.File, name string) (*os.File, error)

	// StatFS returns the mount that a file is on. (fstatfs(2))
	StatFS(f *os.File) (MountPoint, error)

	// Unmount takes away m of Mounts, whatever is in use of it. What is not mounted
	// any more is fs.ErrNotExist. (unmount(2), MNT_BYFSID, MNT_FORCE)
	Unmount(m MountPoint) error

	// Mounts are all mounts, the oldest first. (getfsstat(2))
	Mounts() ([]MountPoint, error)

	// Interfaces are the names of interfaces by their addresses. (sysctl
	// net.route.0.0.iflist)
	Interfaces() (map[netip.Addr]string, error)

	// KillStates ends the states of pf(4) of all connections to and from a pot's
	// address, translated or not. (pf(4), DIOCGETSTATESV2, DIOCKILLSTATESNV)
	KillStates(addr netip.Addr) error

	// Messages is the message buffer. (sysctl kern.msgbuf)
	Messages() (string, error)

	// Sysctl is a number of sysctl(3)'s.
	Sysctl(name string) (uint32, error)
}

// MountPoint is a line of the mount table.
type MountPoint struct {
	Type    string // "zfs", "nullfs", "devfs"
	From    string
	On      string   // with no link in it (sys/kern/vfs_mount.c, vn_path_to_global_path)
	ID      [2]int32 // of the file system: no link can lead it astray
	Options []string // "ro", "nosuid", "noexec", "nosymfollow", its own and of what it shows
}

// errNotFreeBSD is what Native's methods end in on other systems.
var errNotFreeBSD = errors.New("internal error: a system call of FreeBSD's, on another system")
