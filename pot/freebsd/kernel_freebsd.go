package freebsd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"nomad-driver-pot/pot/supervise/nmount"
	"nomad-driver-pot/pot/tree"
)

// Native is this machine's kernel.
type Native struct{}

// jailDying has jail_get(2) find jails that are being removed (sys/jail.h).
const jailDying = 0x08

// sysRctlGetRacct is rctl_get_racct's number (sys/syscall.h).
const sysRctlGetRacct = 525

// JailID implements Kernel.
func (Native) JailID(name string, dying bool) (int, error) {
	key, err := unix.ByteSliceFromString("name")
	if err != nil {
		return 0, err
	}
	value, err := unix.ByteSliceFromString(name)
	if err != nil {
		return 0, err
	}
	iov := [2]unix.Iovec{{Base: &key[0]}, {Base: &value[0]}}
	iov[0].SetLen(len(key))
	iov[1].SetLen(len(value))
	flags := uintptr(0)
	if dying {
		flags = jailDying
	}
	id, _, errno := unix.Syscall(unix.SYS_JAIL_GET, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)), flags)
	switch errno {
	case 0:
		return int(id), nil
	case unix.ENOENT:
		return 0, fs.ErrNotExist
	}
	return 0, os.NewSyscallError("jail_get", errno)
}

// maxJailName is MAXHOSTNAMELEN (sys/param.h), which pr_name of sys/jail.h has.
const maxJailName = 256

// Jails implements Kernel.
func (Native) Jails() ([]string, error) {
	keys := [2][]byte{[]byte("lastjid\x00"), []byte("name\x00")}
	var all []string
	for last := int32(0); ; {
		var name [maxJailName]byte
		iov := [4]unix.Iovec{
			{Base: &keys[0][0]}, {Base: (*byte)(unsafe.Pointer(&last))},
			{Base: &keys[1][0]}, {Base: &name[0]},
		}
		iov[0].SetLen(len(keys[0]))
		iov[1].SetLen(int(unsafe.Sizeof(last)))
		iov[2].SetLen(len(keys[1]))
		iov[3].SetLen(len(name))
		id, _, errno := unix.Syscall(unix.SYS_JAIL_GET, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)), 0)
		switch errno {
		case 0:
			all = append(all, unix.ByteSliceToString(name[:]))
			last = int32(id)
		case unix.ENOENT: // no jail after that
			return all, nil
		default:
			return nil, os.NewSyscallError("jail_get", errno)
		}
	}
}

// RemoveJail implements Kernel.
func (Native) RemoveJail(id int) error {
	_, _, errno := unix.Syscall(unix.SYS_JAIL_REMOVE, uintptr(id), 0, 0)
	if errno != 0 && errno != unix.EINVAL { // EINVAL: no such jail
		return os.NewSyscallError("jail_remove", errno)
	}
	return nil
}

// Usage implements Kernel.
func (Native) Usage(jail string) (string, error) {
	subject, err := unix.ByteSliceFromString("jail:" + jail)
	if err != nil {
		return "", err
	}
	out := make([]byte, 4096) // 25 numbers and their names: half of it at most
	_, _, errno := unix.Syscall6(sysRctlGetRacct, uintptr(unsafe.Pointer(&subject[0])), uintptr(len(subject)),
		uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), 0, 0)
	if errno != 0 {
		return "", os.NewSyscallError("rctl_get_racct", errno)
	}
	text, _, _ := bytes.Cut(out, []byte{0})
	return string(text), nil
}

// Mount implements Kernel.
func (Native) Mount(m MountPoint, options ...string) error {
	return nmount.Mount(nmount.Words(m.Type, m.From, m.On, options...))
}

// OpenAt implements Kernel.
func (Native) OpenAt(dir *os.File, name string) (*os.File, error) { return tree.OpenAt(dir, name) }

// StatFS implements Kernel.
func (Native) StatFS(f *os.File) (MountPoint, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return MountPoint{}, &fs.PathError{Op: "fstatfs", Path: f.Name(), Err: err}
	}
	return mountPoint(&s), nil
}

// mountPoint reads a struct statfs (sys/mount.h).
func mountPoint(s *unix.Statfs_t) MountPoint {
	p := MountPoint{
		Type: unix.ByteSliceToString(s.Fstypename[:]),
		From: unix.ByteSliceToString(s.Mntfromname[:]),
		On:   unix.ByteSliceToString(s.Mntonname[:]),
		ID:   s.Fsid.Val,
	}
	for _, flag := range []struct {
		bit  uint64
		name string
	}{{unix.MNT_RDONLY, "ro"}, {unix.MNT_NOSUID, "nosuid"}, {unix.MNT_NOEXEC, "noexec"}, {unix.MNT_NOSYMFOLLOW, "nosymfollow"}} {
		if s.Flags&flag.bit != 0 {
			p.Options = append(p.Options, flag.name)
		}
	}
	return onHost(p)
}

// Unmount implements Kernel. The name that unmount(2) takes stands for the file system
// itself (sys/kern/vfs_mount.c, kern_unmount).
func (Native) Unmount(m MountPoint) error {
	err := unix.Unmount(fmt.Sprintf("FSID:%d:%d", m.ID[0], m.ID[1]), unix.MNT_BYFSID|unix.MNT_FORCE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL):
		return &fs.PathError{Op: "unmount", Path: m.On, Err: fs.ErrNotExist}
	}
	return &fs.PathError{Op: "unmount", Path: m.On, Err: err}
}

// Mounts implements Kernel.
func (Native) Mounts() ([]MountPoint, error) {
	for room := 0; ; {
		n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
		if err != nil {
			return nil, os.NewSyscallError("getfsstat", err)
		}
		room = max(2*room, n+16) // more may come meanwhile
		table := make([]unix.Statfs_t, room)
		if n, err = unix.Getfsstat(table, unix.MNT_NOWAIT); err != nil {
			return nil, os.NewSyscallError("getfsstat", err)
		}
		if n == room {
			continue
		}
		var all []MountPoint
		for _, s := range table[:n] {
			all = append(all, mountPoint(&s))
		}
		return all, nil
	}
}

// Interfaces implements Kernel.
func (Native) Interfaces() (map[netip.Addr]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	names := map[netip.Addr]string{}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it is gone since
		}
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				names[prefix.Addr()] = i.Name
			}
		}
	}
	return names, nil
}

// Messages implements Kernel.
func (Native) Messages() (string, error) {
	raw, err := unix.SysctlRaw("kern.msgbuf")
	return string(raw), err
}

// Sysctl implements Kernel.
func (Native) Sysctl(name string) (uint32, error) {
	raw, err := unix.SysctlRaw(name)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return 0, fmt.Errorf("sysctl %s: %w", name, fs.ErrNotExist)
	case err != nil:
		return 0, fmt.Errorf("sysctl %s: %w", name, err)
	case len(raw) == 1: // a bool: kern.racct.enable
		return uint32(raw[0]), nil
	case len(raw) < 4:
		return 0, fmt.Errorf("sysctl %s: no number, of %d bytes", name, len(raw))
	}
	return binary.NativeEndian.Uint32(raw), nil
}

// sameBelow reports whether b, seen through a nullfs, is a. A nullfs has a device of its own,
// and all other attributes of the file below it. (mount_nullfs(4), sys/fs/nullfs/null_vnops.c,
// null_getattr)
func sameBelow(a, b os.FileInfo) bool {
	x, ok1 := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return ok1 && ok2 && x.Ino == y.Ino && x.Birthtimespec == y.Birthtimespec && x.Mode == y.Mode && x.Uid == y.Uid
}
