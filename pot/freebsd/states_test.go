package freebsd

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// Requests are, byte by byte, what nvlist_pack(9) of FreeBSD 14.2 makes of the same
// values: testdata/kill_*.bin.
func TestKillRequest(t *testing.T) {
	leak.Check(t)
	for file, request := range map[string]nvlist{
		"kill_id":    killRequest(stateID{0x1122334455667788, 0xaabbccdd}, netip.Addr{}, netip.Addr{}),
		"kill_inet":  killRequest(stateID{}, netip.Addr{}, netip.MustParseAddr("10.192.0.2")),
		"kill_inet6": killRequest(stateID{}, netip.Addr{}, netip.MustParseAddr("2001:db8::7")),
	} {
		want, err := os.ReadFile("testdata/" + file + ".bin")
		must.NoError(t, err)
		must.Eq(t, want, request.pack(), must.Sprint(file))
	}
}

// exportState is a state as DIOCGETSTATESV2 exports it (sys/netpfil/pf/pf_ioctl.c,
// pf_state_export).
func exportState(id stateID, family byte, wire, stack [2]string) []byte {
	s := make([]byte, stateBytes)
	binary.NativeEndian.PutUint64(s, stateVersion)
	binary.NativeEndian.PutUint64(s[8:], id.id)
	for i := range 2 {
		copy(s[48+16*i:], netip.MustParseAddr(wire[i]).AsSlice())
		copy(s[84+16*i:], netip.MustParseAddr(stack[i]).AsSlice())
	}
	binary.NativeEndian.PutUint32(s[256:], id.creator)
	s[264] = family
	return s
}

func TestStatesOf(t *testing.T) {
	leak.Check(t)
	const client, host, web, other = "203.0.113.5", "10.0.2.15", "10.192.0.2", "10.192.0.22"
	rdr, nat, plain, six := stateID{1, 7}, stateID{2, 7}, stateID{3, 8}, stateID{4, 7}
	var all []byte
	for _, s := range [][]byte{
		exportState(stateID{9, 7}, 2, [2]string{client, host}, [2]string{client, host}), // the host's own
		exportState(rdr, 2, [2]string{client, host}, [2]string{client, web}),
		exportState(nat, 2, [2]string{client, host}, [2]string{client, web}), // addresses of what it sends to come first
		exportState(stateID{10, 7}, 2, [2]string{client, host}, [2]string{client, other}),
		exportState(plain, 2, [2]string{web, other}, [2]string{web, other}),
		exportState(six, 28, [2]string{"2001:db8::5", "2001:db8::7"}, [2]string{"2001:db8::5", "2001:db8::7"}),
		exportState(stateID{11, 7}, 28, [2]string{"0ac0:2::", "2001:db8::8"}, [2]string{"0ac0:2::", "2001:db8::8"}), // begins as web
	} {
		all = append(all, s...)
	}
	for addr, want := range map[string][]stateID{web: {rdr, nat, plain}, "2001:db8::7": {six}, "10.192.0.3": nil} {
		got, err := statesOf(all, netip.MustParseAddr(addr))
		must.NoError(t, err)
		must.Eq(t, want, got, must.Sprint(addr))
	}
	for name, broken := range map[string][]byte{"have version 0, not 20230404": make([]byte, stateBytes), "no whole number": all[1:]} {
		_, err := statesOf(broken, netip.MustParseAddr(web))
		must.ErrorContains(t, err, name)
	}
	none, err := statesOf(nil, netip.MustParseAddr(web))
	must.NoError(t, err)
	must.SliceEmpty(t, none)
}
