package freebsd

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A kernel that keeps addresses out of bridges, as FreeBSD 15 may, refuses the uplink;
// pots that need it there are refused with what a person can do.
func TestMembers(t *testing.T) {
	leak.Check(t)
	strict := func(t *testing.T) *model {
		m := netModel(t)
		m.set(memberAddresses, 0)
		return m
	}
	create := func(t *testing.T, m *model, name string) error {
		t.Helper()
		_, pots := m.host(t)
		before := m.state()
		_, err := pots.Create(t.Context(), connections(t)[name])
		if err != nil {
			must.Eq(t, before, m.state())
		}
		return err
	}
	const refused = "uplink vtnet0 has an address, and net.link.bridge.member_ifaddrs=0 keeps such an interface out of bridges, " +
		"where pots have their IPv6 from: sysctl net.link.bridge.member_ifaddrs=1; echo net.link.bridge.member_ifaddrs=1 >> /etc/sysctl.conf; " +
		"or move the address to a bridge that has vtnet0 as a member and set POT_EXTIF to that bridge"
	for _, name := range []string{"six", "dual"} {
		t.Run(name+" is refused before a bridge is created", func(t *testing.T) {
			m := strict(t)
			must.ErrorContains(t, create(t, m, name), refused)
			must.StrNotContains(t, strings.Join(m.commands, "\n"), "addm vtnet0")
		})
		t.Run(name+" is refused where the sysctl comes with the first bridge", func(t *testing.T) {
			m := strict(t)
			m.noBridge = name == "six" // dual has a bridge for IPv4 first
			must.ErrorContains(t, create(t, m, name), refused)
		})
		t.Run(name+" starts where the kernel lets addresses into bridges", func(t *testing.T) {
			m := strict(t)
			m.set(memberAddresses, 1)
			must.NoError(t, create(t, m, name))
		})
		t.Run(name+" starts where the address is on the bridge", func(t *testing.T) {
			m := strict(t)
			m.ifaces["vtnet0"] = &modelIface{}
			m.ifaces["bridge7"] = &modelIface{groups: []string{"bridge"}, inet: "10.0.2.15/24", members: []string{"vtnet0"}}
			m.configure = func(c *Config) { c.Interface = "bridge7" }
			must.NoError(t, create(t, m, name))
			must.SliceLen(t, 2, m.ifaces["bridge7"].members)
		})
		t.Run(name+" starts where the uplink has no address", func(t *testing.T) {
			m := strict(t)
			m.ifaces["vtnet0"] = &modelIface{}
			must.NoError(t, create(t, m, name))
		})
	}
	t.Run("a link-local address counts", func(t *testing.T) {
		m := strict(t)
		m.ifaces["vtnet0"] = &modelIface{aliases: []string{"fe80::5054:ff:fe12:3456/64"}}
		must.ErrorContains(t, create(t, m, "six"), refused)
	})
	for _, name := range []string{"public", "private", "host", "none", "alias"} {
		t.Run(name+" needs no uplink in a bridge", func(t *testing.T) {
			must.NoError(t, create(t, strict(t), name))
		})
	}
	t.Run("an address for a member of a bridge is refused", func(t *testing.T) {
		m := strict(t)
		m.ifaces["bridge7"] = &modelIface{groups: []string{"bridge"}, members: []string{"vtnet0"}}
		err := create(t, m, "alias")
		must.ErrorContains(t, err, "vtnet0 is a member of bridge7, and net.link.bridge.member_ifaddrs=0 keeps addresses off members of bridges: "+
			"sysctl net.link.bridge.member_ifaddrs=1, or name the bridge, as in bridge7|192.0.2.7: ifconfig vtnet0 inet 192.0.2.7/32 alias: ")
	})
	t.Run("an uplink that is not there is named, and no bridge is left", func(t *testing.T) {
		m := netModel(t)
		m.configure = func(c *Config) { c.Interface = "em9" }
		err := create(t, m, "six")
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.ErrorContains(t, err, "uplink em9: file does not exist: set POT_EXTIF in pot.conf")
	})
}

// Addresses are read as ifconfig prints them.
func TestParseInterfaces_addresses(t *testing.T) {
	leak.Check(t)
	text, err := os.ReadFile("testdata/ifconfig.txt")
	must.NoError(t, err)
	all := parseInterfaces(string(text))
	for name, want := range map[string]struct {
		up    bool
		inet  string
		inet6 bool
	}{
		"vtnet0":  {true, "[10.0.2.15/24]", true},
		"lo0":     {true, "[127.0.0.1/8]", true},
		"bridge0": {true, "[10.192.0.1/10]", false},
		"epair0a": {true, "[]", false},
		"epair0b": {false, "[]", false},
	} {
		i := find(all, name)
		must.NotNil(t, i, must.Sprint(name))
		must.Eq(t, want.up, i.up, must.Sprint(name))
		must.Eq(t, want.inet, fmt.Sprint(i.inet), must.Sprint(name))
		must.Eq(t, want.inet6, i.inet6, must.Sprint(name))
	}
	must.Nil(t, find(all, "em9"))
	for line, want := range map[string]string{
		"inet 10.192.0.1 netmask 0xffc00000 broadcast 10.255.255.255 vhid 1": "[10.192.0.1/10]",
		"inet 10.192.0.1/10 broadcast 10.255.255.255":                        "[10.192.0.1/10]",
		"inet 192.0.2.7 netmask 0xffffffff":                                  "[192.0.2.7/32]",
		"inet 10.0.0.1 --> 10.0.0.2 netmask 0xfffffffc":                      "[10.0.0.1/30]",
		"inet 10.0.0.1 --> 10.0.0.2/30":                                      "[10.0.0.1/32]",
		"inet 10.0.0.1 netmask 0x0":                                          "[10.0.0.1/0]",
		"inet 10.0.0.1 netmask":                                              "[10.0.0.1/32]",
		"inet nonsense":                                                      "[]",
		"inet":                                                               "[]",
	} {
		i := parseInterfaces("gif0: flags=1008051<UP,POINTOPOINT> metric 0 mtu 1280\n\t" + line + "\n")[0]
		must.Eq(t, want, fmt.Sprint(i.inet), must.Sprint(line))
	}
}
