//go:build !freebsd

package freebsd

import (
	"net/netip"
	"os"
)

// Native refuses every call: this is not FreeBSD.
type Native struct{}

// JailID implements Kernel.
func (Native) JailID(string, bool) (int, error) { return 0, errNotFreeBSD }

// Jails implements Kernel.
func (Native) Jails() ([]string, error) { return nil, errNotFreeBSD }

// KillStates implements Kernel.
func (Native) KillStates(netip.Addr) error { return errNotFreeBSD }

// RemoveJail implements Kernel.
func (Native) RemoveJail(int) error { return errNotFreeBSD }

// Usage implements Kernel.
func (Native) Usage(string) (string, error) { return "", errNotFreeBSD }

// Mount implements Kernel.
func (Native) Mount(MountPoint, ...string) error { return errNotFreeBSD }

// OpenAt implements Kernel.
func (Native) OpenAt(*os.File, string) (*os.File, error) { return nil, errNotFreeBSD }

// StatFS implements Kernel.
func (Native) StatFS(*os.File) (MountPoint, error) { return MountPoint{}, errNotFreeBSD }

// Unmount implements Kernel.
func (Native) Unmount(MountPoint) error { return errNotFreeBSD }

// Mounts implements Kernel.
func (Native) Mounts() ([]MountPoint, error) { return nil, errNotFreeBSD }

// Interfaces implements Kernel.
func (Native) Interfaces() (map[netip.Addr]string, error) { return nil, errNotFreeBSD }

// Messages implements Kernel.
func (Native) Messages() (string, error) { return "", errNotFreeBSD }

// Sysctl implements Kernel.
func (Native) Sysctl(string) (uint32, error) { return 0, errNotFreeBSD }

func sameBelow(a, b os.FileInfo) bool { return os.SameFile(a, b) }
