//go:build !freebsd

package freebsd

import (
	"net/netip"
	"os"
)

// Native refuses: this is another system.
type Native struct{}

// JailID is Kernel's.
func (Native) JailID(string, bool) (int, error) { return 0, errNotFreeBSD }

// Jails implements Kernel.
func (Native) Jails() ([]string, error) { return nil, errNotFreeBSD }

// KillStates implements Kernel.
func (Native) KillStates(netip.Addr) error { return errNotFreeBSD }

// RemoveJail is Kernel's.
func (Native) RemoveJail(int) error { return errNotFreeBSD }

// Usage is Kernel's.
func (Native) Usage(string) (string, error) { return "", errNotFreeBSD }

// Mount is Kernel's.
func (Native) Mount(MountPoint, ...string) error { return errNotFreeBSD }

// OpenAt is Kernel's.
func (Native) OpenAt(*os.File, string) (*os.File, error) { return nil, errNotFreeBSD }

// StatFS is Kernel's.
func (Native) StatFS(*os.File) (MountPoint, error) { return MountPoint{}, errNotFreeBSD }

// Unmount is Kernel's.
func (Native) Unmount(MountPoint) error { return errNotFreeBSD }

// Mounts is Kernel's.
func (Native) Mounts() ([]MountPoint, error) { return nil, errNotFreeBSD }

// Interfaces is Kernel's.
func (Native) Interfaces() (map[netip.Addr]string, error) { return nil, errNotFreeBSD }

// Messages is Kernel's.
func (Native) Messages() (string, error) { return "", errNotFreeBSD }

// Sysctl is Kernel's.
func (Native) Sysctl(string) (uint32, error) { return 0, errNotFreeBSD }

func sameBelow(a, b os.FileInfo) bool { return os.SameFile(a, b) }
