package freebsd

import (
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// modelNet is what the model's kernel has beside interfaces: its settings, and the
// state of pf. The zero value is a FreeBSD 14.2 that has just started, with pf
// enabled and pot's anchors in its rules.
type modelNet struct {
	sysctls    map[string]uint32 // those that are not at their default
	pfDisabled bool
	noAnchors  bool // in the main rules that are loaded
	noBridge   bool // if_bridge(4) is not loaded, nor are its settings there, until a bridge is created
}

// sysctlDefaults are the settings of FreeBSD 14.2 as it starts, with limits. There is
// no net.link.bridge.member_ifaddrs.
var sysctlDefaults = map[string]uint32{
	"kern.features.vimage": 1, "kern.racct.enable": 1, "kern.osreldate": 1402000, forwarding: 0,
}

// Sysctl implements Kernel.
func (m *model) Sysctl(name string) (uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.setting(name)
}

func (m *model) setting(name string) (uint32, error) {
	if n, ok := m.sysctls[name]; ok && !(m.noBridge && strings.HasPrefix(name, "net.link.bridge.")) {
		return n, nil
	}
	if n, ok := sysctlDefaults[name]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("sysctl %s: %w", name, fs.ErrNotExist)
}

func (m *model) set(name string, n uint32) {
	if m.sysctls == nil {
		m.sysctls = map[string]uint32{}
	}
	m.sysctls[name] = n
}

// sysctl sets NAME=N (sbin/sysctl/sysctl.c, parse).
func (m *model) sysctl(_ io.Reader, argv []string) (string, string) {
	name, value, _ := strings.Cut(argv[0], "=")
	old, err := m.setting(name)
	if err != nil {
		return "", fmt.Sprintf("sysctl: unknown oid '%s'", name)
	}
	var n uint32
	if _, err := fmt.Sscan(value, &n); err != nil {
		return "", fmt.Sprintf("sysctl: invalid integer '%s'", value)
	}
	m.set(name, n)
	return fmt.Sprintf("%s: %d -> %d\n", name, old, n), ""
}

// zpool shows that the pool has no fault.
func (m *model) zpool(io.Reader, []string) (string, string) { return "tank\thealth\tONLINE\t-\n", "" }

// noDevice is what pfctl complains where pf is not loaded: it opens the device for
// all but -n (sbin/pfctl/pfctl.c, main).
func noDevice(argv []string) string {
	if _, err := os.Stat(pfDevice); err != nil && !slices.Contains(argv, "-n") {
		return "pfctl: /dev/pf: No such file or directory"
	}
	return ""
}

// showPF is what `pfctl -s` prints. The rules of an anchor are shown as they were loaded,
// which for NAT rules is how pfctl writes them.
func (m *model) showPF(argv []string) string {
	anchor := slices.Index(argv, "-a") + 1
	switch {
	case slices.Contains(argv, "info"): // sbin/pfctl/pfctl_parser.c, print_status
		running := "Enabled"
		if m.pfDisabled {
			running = "Disabled"
		}
		return fmt.Sprintf("%-44s%15s\n\n", "Status: "+running+" for 0 days 00:00:07", "Debug: Urgent")
	case anchor > 0:
		return m.anchors[argv[anchor]]
	case m.noAnchors:
		return ""
	}
	return "nat-anchor \"pot-nat\" all\nrdr-anchor \"pot-rdr/*\" all\n"
}

// withoutWidth is ifconfig's complaint about a new IPv4 address without a width or a
// netmask, which is an error in FreeBSD 15 (UPDATING, 20240617) and a warning in 14
// (sbin/ifconfig/af_inet.c, in_postproc). One that is removed needs none.
func withoutWidth(argv []string) string {
	at := slices.Index(argv, "inet") + 1
	if at == 0 || at == len(argv) || strings.Contains(argv[at], "/") ||
		slices.Contains(argv, "netmask") || slices.Contains(argv, "-alias") {
		return ""
	}
	return "ifconfig: " + argv[at] + ": an address needs a width or a netmask"
}

// addm makes an interface a member of a bridge, and returns ifconfig's complaint if
// the kernel refuses (sys/net/if_bridge.c, bridge_ioctl_add). member_ifaddrs and the
// text in brackets are FreeBSD 15's.
func (m *model) addm(bridge, member string) string {
	refuse := func(errno string) string { return fmt.Sprintf("ifconfig: BRDGADD %s: %s", member, errno) }
	i := m.ifaces[member]
	switch {
	case i == nil:
		return refuse("No such file or directory")
	case slices.Contains(m.ifaces[bridge].members, member):
		return refuse("File exists")
	}
	for _, other := range m.ifaces {
		if slices.Contains(other.members, member) {
			return refuse("Device busy")
		}
	}
	if slices.Contains(i.groups, "bridge") || slices.Contains(i.groups, "lo") {
		return refuse("Invalid argument")
	}
	if m.refusesAddresses() && len(i.addresses()) > 0 {
		return refuse("Invalid argument (extended error Member interface may not have an IP address assigned)")
	}
	m.ifaces[bridge].members = append(m.ifaces[bridge].members, member)
	return ""
}

func (m *model) refusesAddresses() bool {
	n, err := m.setting(memberAddresses)
	return err == nil && n == 0
}

// mayHaveAddress is ifconfig's complaint about an address for an interface that is a
// member of a bridge (bridge(4) of FreeBSD 15).
func (m *model) mayHaveAddress(name string) string {
	for _, other := range m.ifaces {
		if m.refusesAddresses() && slices.Contains(other.members, name) {
			return "ifconfig: ioctl (SIOCAIFADDR): Invalid argument"
		}
	}
	return ""
}

// addresses are all that the interface has, with their lengths.
func (i *modelIface) addresses() []string {
	all := slices.Clone(i.aliases)
	if i.inet != "" {
		all = append(all, i.inet)
	}
	return all
}

// showAddresses are the lines of ifconfig(8) for addresses (sbin/ifconfig/af_inet.c,
// in_status_nl; af_inet6.c, in6_status_nl).
func (i *modelIface) showAddresses() (out string) {
	for _, text := range i.addresses() {
		p := netip.MustParsePrefix(text)
		if p.Addr().Is6() {
			out += fmt.Sprintf("\tinet6 %s prefixlen %d\n", p.Addr(), p.Bits())
			continue
		}
		out += fmt.Sprintf("\tinet %s netmask 0x%x\n", p.Addr(), ^uint32(0)<<(32-p.Bits()))
	}
	return out
}

// reaches reports whether a pot behind this gateway reaches other networks by the
// uplink vtnet0: its bridge is up, the kernel forwards (sys/netinet/ip_input.c,
// V_ipforwarding), and pf runs, comes by the anchor, and has a rule there for the
// pots' network.
func (m *model) reaches(gateway string) bool {
	on, _ := m.Sysctl(forwarding)
	m.mu.Lock()
	defer m.mu.Unlock()
	bridge := false
	for _, i := range m.ifaces {
		for _, a := range i.addresses() {
			bridge = bridge || !i.down && slices.Contains(i.groups, "bridge") && strings.HasPrefix(a, gateway+"/")
		}
	}
	return bridge && on == 1 && noDevice(nil) == "" && !m.pfDisabled && !m.noAnchors &&
		strings.Contains(m.anchors[natAnchor], "nat on vtnet0 inet from 10.192.0.0/10 to any -> (vtnet0:0)\n")
}

// The model has the rules of the kernel that pots meet.
func TestModel_network(t *testing.T) {
	leak.Check(t)
	withPF(t, true)
	run := func(m *model, line string) string {
		_, err := m.Run(t.Context(), strings.NewReader(""), strings.Fields(line)...)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	t.Run("forwarding is off until it is turned on", func(t *testing.T) {
		m := newModel(t)
		n, err := m.Sysctl(forwarding)
		must.NoError(t, err)
		must.Eq(t, 0, n)
		must.Eq(t, "", run(m, "sysctl net.inet.ip.forwarding=1"))
		n, _ = m.Sysctl(forwarding)
		must.Eq(t, 1, n)
		must.StrContains(t, run(m, "sysctl net.nosuch=1"), "unknown oid 'net.nosuch'")
		_, err = m.Sysctl(memberAddresses) // FreeBSD 14 has none
		must.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("members are refused as if_bridge refuses them", func(t *testing.T) {
		m := netModel(t)
		must.Eq(t, "", run(m, "ifconfig bridge create inet 10.192.0.1/10 group pot up"))
		must.Eq(t, "", run(m, "ifconfig bridge create up"))
		must.Eq(t, "", run(m, "ifconfig bridge1 addm vtnet0"))
		must.StrContains(t, run(m, "ifconfig bridge1 addm vtnet0"), "BRDGADD vtnet0: File exists")
		must.StrContains(t, run(m, "ifconfig bridge2 addm vtnet0"), "BRDGADD vtnet0: Device busy")
		must.StrContains(t, run(m, "ifconfig bridge2 addm bridge1"), "BRDGADD bridge1: Invalid argument")
		must.StrContains(t, run(m, "ifconfig bridge2 addm em9"), "BRDGADD em9: No such file or directory")
	})
	t.Run("member_ifaddrs=0 keeps addresses out of bridges", func(t *testing.T) {
		m := netModel(t)
		m.ifaces["em2"] = &modelIface{}
		m.set(memberAddresses, 0)
		must.Eq(t, "", run(m, "ifconfig bridge create up"))
		must.StrContains(t, run(m, "ifconfig bridge1 addm vtnet0"), "BRDGADD vtnet0: Invalid argument (extended error Member interface may not have an IP address assigned)")
		must.StrContains(t, run(m, "ifconfig bridge1 addm em1"), "Invalid argument")
		must.Eq(t, "", run(m, "ifconfig bridge1 addm em2"))
		must.StrContains(t, run(m, "ifconfig em2 inet 192.0.2.9/32 alias"), "SIOCAIFADDR): Invalid argument")
		must.Eq(t, "", run(m, "sysctl net.link.bridge.member_ifaddrs=1"))
		must.Eq(t, "", run(m, "ifconfig bridge1 addm vtnet0"))
		must.Eq(t, "", run(m, "ifconfig em2 inet 192.0.2.9/32 alias"))
	})
	t.Run("if_bridge has no settings until it is loaded", func(t *testing.T) {
		m := netModel(t)
		m.set(memberAddresses, 0)
		m.noBridge = true
		_, err := m.Sysctl(memberAddresses)
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.StrContains(t, run(m, "ifconfig bridge create addm vtnet0"), "may not have an IP address")
		n, err := m.Sysctl(memberAddresses)
		must.NoError(t, err)
		must.Eq(t, 0, n)
	})
	t.Run("a new address needs a width", func(t *testing.T) {
		m := netModel(t)
		must.StrContains(t, run(m, "ifconfig bridge create inet 10.192.0.1 up"), "needs a width")
		must.StrContains(t, run(m, "ifconfig em1 inet 192.0.2.9 alias"), "needs a width")
		must.Eq(t, "", run(m, "ifconfig em1 inet 192.0.2.9/32 alias"))
		must.Eq(t, "", run(m, "ifconfig em1 inet 192.0.2.9 -alias"))
	})
	t.Run("a bridge whose member is refused stays", func(t *testing.T) {
		m := netModel(t)
		must.StrContains(t, run(m, "ifconfig bridge create group pot addm em9 description late up"), "BRDGADD em9")
		must.Eq(t, []string{"bridge", "pot"}, m.ifaces["bridge1"].groups)
		must.Eq(t, "", m.ifaces["bridge1"].description) // behind what failed
	})
	t.Run("pfctl needs pf, and rules can be loaded while it is disabled", func(t *testing.T) {
		m := netModel(t)
		m.pfDisabled = true
		must.Eq(t, "", run(m, "pfctl -q -a pot-nat -f -"))
		out, err := m.Run(t.Context(), nil, "pfctl", "-s", "info")
		must.NoError(t, err)
		must.StrHasPrefix(t, "Status: Disabled for ", out)
		pfDevice = t.TempDir() + "/pf"
		must.StrContains(t, run(m, "pfctl -q -a pot-nat -f -"), "pfctl: /dev/pf: No such file or directory")
		must.Eq(t, "", run(m, "pfctl -n -f -"))
	})
	t.Run("a pot reaches others by the whole of its way alone", func(t *testing.T) {
		whole := func(t *testing.T) *model {
			m := netModel(t)
			must.Eq(t, "", run(m, "sysctl net.inet.ip.forwarding=1"))
			must.Eq(t, "", run(m, "ifconfig bridge create inet 10.192.0.1/10 group pot up"))
			m.anchors[natAnchor] = "nat on vtnet0 inet from 10.192.0.0/10 to any -> (vtnet0:0)\n"
			return m
		}
		must.True(t, whole(t).reaches("10.192.0.1"))
		for name, without := range map[string]func(*model){
			"forwarding": func(m *model) { m.set(forwarding, 0) },
			"pf":         func(m *model) { m.pfDisabled = true },
			"an anchor":  func(m *model) { m.noAnchors = true },
			"a rule":     func(m *model) { delete(m.anchors, natAnchor) },
			"a bridge":   func(m *model) { delete(m.ifaces, "bridge1") },
		} {
			m := whole(t)
			without(m)
			must.False(t, m.reaches("10.192.0.1"), must.Sprint(name))
		}
	})
}
