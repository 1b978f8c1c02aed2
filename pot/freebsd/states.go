package freebsd

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// pfctl(8) cannot end the states of a pot: -k compares the addresses that packets
// have on the wire (sys/netpfil/pf/pf_ioctl.c, pf_killstates_row), which do not
// include the pot's own, and a state of an rdr rule has no rule with a label. This
// file therefore uses pf(4)'s own structures.

// stateID names a state of pf(4), as the kernel has it in memory.
type stateID struct {
	id      uint64
	creator uint32
}

// struct pf_state_export (sys/net/pfvar.h), of which stateVersion is the version
// and stateBytes the size. Its second key has the addresses on the host's side of a
// translation: of an rdr state the pot's, of a nat state too.
const (
	stateVersion       = 20230404 // PF_STATE_VERSION
	stateBytes         = 384
	stateIDAt          = 8
	stateStackKeyAt    = 84
	stateCreatorAt     = 256
	stateFamilyAt      = 264
	stateKeyAddrBytes  = 16
	stateKeyAddresses  = 2
	familyInet         = 2  // AF_INET (sys/sys/socket.h)
	familyInet6        = 28 // AF_INET6
	maxStatesBytes     = 64 << 20
	roomForStatesBytes = 64 * stateBytes // that come while they are counted
)

// statesOf returns the states to or from addr, of those that DIOCGETSTATESV2 has
// exported.
func statesOf(exported []byte, addr netip.Addr) ([]stateID, error) {
	if len(exported)%stateBytes != 0 {
		return nil, fmt.Errorf("states of pf: %d bytes are no whole number of states", len(exported))
	}
	family := byte(familyInet)
	if addr.Is6() {
		family = familyInet6
	}
	var all []stateID
	for ; len(exported) > 0; exported = exported[stateBytes:] {
		if v := binary.NativeEndian.Uint64(exported); v != stateVersion {
			return nil, fmt.Errorf("states of pf: have version %d, not %d", v, stateVersion)
		}
		if exported[stateFamilyAt] != family {
			continue
		}
		key := exported[stateStackKeyAt:]
		for range stateKeyAddresses {
			if of, _ := netip.AddrFromSlice(key[:addr.BitLen()/8]); of == addr {
				all = append(all, stateID{
					id:      binary.NativeEndian.Uint64(exported[stateIDAt:]),
					creator: binary.NativeEndian.Uint32(exported[stateCreatorAt:]),
				})
				break
			}
			key = key[stateKeyAddrBytes:]
		}
	}
	return all, nil
}

// killRequest is what DIOCKILLSTATESNV takes (sys/netpfil/pf/pf_nv.c,
// pf_nvstate_kill_to_kstate_kill): a state, or, where that is none, those from src
// to dst, one of which may be any, on the host's side of a translation. FreeBSD 14
// does not look for "nat".
func killRequest(state stateID, src, dst netip.Addr) nvlist {
	family := uint64(0)
	for _, a := range []netip.Addr{src, dst} {
		switch {
		case a.Is4():
			family = familyInet
		case a.Is6():
			family = familyInet6
		}
	}
	return nvlist{
		{"cmp", nvlist{{"id", state.id}, {"creatorid", uint64(state.creator)}, {"direction", uint64(0)}}},
		{"af", family},
		{"proto", uint64(0)},
		{"src", ruleAddr(src)},
		{"dst", ruleAddr(dst)},
		{"rt_addr", ruleAddr(netip.Addr{})},
		{"ifname", ""},
		{"label", ""},
		{"kill_match", false},
		{"nat", state == stateID{}},
	}
}

// ruleAddr is a struct pf_rule_addr of any port; of any address if addr is not valid.
func ruleAddr(addr netip.Addr) nvlist {
	const addrMask, opNone = 0, 0 // PF_ADDR_ADDRMASK, PF_OP_NONE (sys/netpfil/pf/pf.h)
	var address, mask [stateKeyAddrBytes]byte
	for i := range copy(address[:], addr.AsSlice()) {
		mask[i] = 0xff
	}
	return nvlist{
		{"addr", nvlist{
			{"type", uint64(addrMask)},
			{"iflags", uint64(0)},
			{"addr", nvlist{{"addr", address[:]}}},
			{"mask", nvlist{{"addr", mask[:]}}},
		}},
		{"port", []uint64{0, 0}},
		{"neg", uint64(0)},
		{"port_op", uint64(opNone)},
	}
}
