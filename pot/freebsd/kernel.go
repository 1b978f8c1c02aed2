package freebsd

import (
	"errors"
	"net/netip"
	"os"
)

// Kernel has the calls that go to the kernel directly: a command would be wasteful,
// ambiguous, or racy.
type Kernel interface {
	JailKernel
	MountKernel
	NetworkKernel

	// Messages returns the message buffer. (sysctl kern.msgbuf)
	Messages() (string, error)

	// Sysctl reads a number by sysctl(3).
	Sysctl(name string) (uint32, error)
}

// JailKernel has the calls about jails.
type JailKernel interface {
	// JailID returns the ID of the jail of that name; with dying also of one that is being
	// removed. It returns fs.ErrNotExist if there is none. (jail_get(2))
	JailID(name string, dying bool) (int, error)

	// Jails returns the names of all jails that are not dying. (jail_get(2))
	Jails() ([]string, error)

	// RemoveJail kills all that runs in a jail and removes it; its end may take
	// longer. It returns nil if there is none. (jail_remove(2))
	RemoveJail(id int) error

	// Usage returns rctl_get_racct(2)'s line for a jail: "cputime=0,datasize=0,…". All
	// numbers of a missing jail are 0.
	Usage(jail string) (string, error)
}

// MountKernel has the calls about mounts.
type MountKernel interface {
	// Mount mounts m.From at m.On, with options NAME or NAME=VALUE. Links on both
	// paths are followed. A directory that would cover itself, through another nullfs, is
	// syscall.EDEADLK. (nmount(2), mount_nullfs(8))
	Mount(m MountPoint, options ...string) error

	// OpenAt does what tree.OpenAt does. (openat(2), O_PATH)
	OpenAt(dir *os.File, name string) (*os.File, error)

	// StatFS returns the mount that a file is on. (fstatfs(2))
	StatFS(f *os.File) (MountPoint, error)

	// Unmount unmounts m of Mounts, also if it is in use. It returns fs.ErrNotExist if m is
	// not mounted any more. (unmount(2), MNT_BYFSID, MNT_FORCE)
	Unmount(m MountPoint) error

	// Mounts returns all mounts, the oldest first. (getfsstat(2))
	Mounts() ([]MountPoint, error)
}

// NetworkKernel has the calls about interfaces and pf(4).
type NetworkKernel interface {
	// Interfaces returns the names of interfaces by their addresses. (sysctl
	// net.route.0.0.iflist)
	Interfaces() (map[netip.Addr]string, error)

	// KillStates ends the states of pf(4) of all connections to and from a pot's
	// address, translated or not. (pf(4), DIOCGETSTATESV2, DIOCKILLSTATESNV)
	KillStates(addr netip.Addr) error
}

// MountPoint is a line of the mount table.
type MountPoint struct {
	Type    string // "zfs", "nullfs", "devfs"
	From    string
	On      string   // with no link in it (sys/kern/vfs_mount.c, vn_path_to_global_path)
	ID      [2]int32 // of the file system; links do not matter to it
	Options []string // "ro", "nosuid", "noexec", "nosymfollow": of this mount, and of the one it shows
}

// errNotFreeBSD is what Native's methods end in on other systems.
var errNotFreeBSD = errors.New("internal error: a system call of FreeBSD's, on another system")
