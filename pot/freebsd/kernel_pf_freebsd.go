package freebsd

import (
	"errors"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of pf(4) (sys/net/pfvar.h): _IOWR of 24 bytes, as the two structures
// below have on amd64 and arm64.
const (
	diocKillStatesNV = 0xc0184429 // 'D', 41, struct pfioc_nv
	diocGetStatesV2  = 0xc018445d // 'D', 93, struct pfioc_states_v2
)

// pfiocNV is struct pfioc_nv.
type pfiocNV struct {
	data unsafe.Pointer
	len  uint64
	size uint64 // of the buffer for the answer; 0 for none
}

// pfiocStates is struct pfioc_states_v2.
type pfiocStates struct {
	len     int32 // bytes
	version uint64
	buf     unsafe.Pointer
}

// KillStates implements Kernel. A kernel without DIOCGETSTATESV2 knows "nat"
// (FreeBSD 15 without COMPAT_FREEBSD14).
func (Native) KillStates(addr netip.Addr) error {
	pf, err := os.OpenFile("/dev/pf", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer pf.Close()
	exported, err := exportStates(pf)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOTTY) {
		return errors.Join(killStates(pf, killRequest(stateID{}, netip.Addr{}, addr)), killStates(pf, killRequest(stateID{}, addr, netip.Addr{})))
	}
	if err != nil {
		return err
	}
	all, err := statesOf(exported, addr)
	for _, s := range all {
		err = errors.Join(err, killStates(pf, killRequest(s, netip.Addr{}, netip.Addr{})))
	}
	return err
}

// exportStates returns all states. Of more than maxStatesBytes the rest is missing.
func exportStates(pf *os.File) ([]byte, error) {
	for room := 0; ; {
		count := pfiocStates{version: stateVersion}
		if err := ioctl(pf, "DIOCGETSTATESV2", diocGetStatesV2, unsafe.Pointer(&count)); err != nil || count.len == 0 {
			return nil, err
		}
		room = min(max(2*room, int(count.len)+roomForStatesBytes), maxStatesBytes)
		buf := make([]byte, room)
		get := pfiocStates{len: int32(room), version: stateVersion, buf: unsafe.Pointer(&buf[0])}
		if err := ioctl(pf, "DIOCGETSTATESV2", diocGetStatesV2, unsafe.Pointer(&get)); err != nil {
			return nil, err
		}
		// The kernel stops at the first row of its table that does not fit.
		if int(get.len)+roomForStatesBytes/2 <= room || room == maxStatesBytes {
			return buf[:get.len], nil
		}
	}
}

func killStates(pf *os.File, request nvlist) error {
	packed := request.pack()
	return ioctl(pf, "DIOCKILLSTATESNV", diocKillStatesNV, unsafe.Pointer(&pfiocNV{data: unsafe.Pointer(&packed[0]), len: uint64(len(packed))}))
}

func ioctl(f *os.File, name string, request uintptr, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(argument))
	if errno != 0 {
		return os.NewSyscallError("ioctl "+name, errno)
	}
	return nil
}
