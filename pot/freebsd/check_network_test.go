package freebsd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	has "nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/pot/run"
)

// lacking are the findings of c that are no facts, "KEY: TEXT" each.
func lacking(t testing.TB, c checker) []string {
	var all []string
	for _, f := range c.check(t.Context()) {
		if f.Severity != pot.Info {
			must.Eq(t, pot.Degraded, f.Severity) // pots start without a network beyond the bridge
			all = append(all, f.Key+": "+f.Text)
		}
	}
	return all
}

// Each thing that keeps pots from other networks is found, with the command that
// mends it, and nothing else is.
func TestCheck_network(t *testing.T) {
	leak.Check(t)
	has.Have(t, "root", os.Geteuid() == 0)
	withPF(t, true)
	shown := func(old, new string) func(*checker, *run.Log) {
		return func(_ *checker, log *run.Log) {
			a := log.Answers["ifconfig -a"]
			must.StrContains(t, a.Stdout, old)
			a.Stdout = strings.Replace(a.Stdout, old, new, 1)
			log.Answers["ifconfig -a"] = a
		}
	}
	answers := func(line, stdout string) func(*checker, *run.Log) {
		return func(_ *checker, log *run.Log) {
			must.MapContainsKey(t, log.Answers, line)
			log.Answers[line] = run.Answer{Stdout: stdout}
		}
	}
	fails := func(line string) func(*checker, *run.Log) {
		return func(_ *checker, log *run.Log) {
			log.Answers[line] = run.Answer{Err: &run.Error{Argv: []string{"pfctl"}, Code: 1, Stderr: "pfctl: /dev/pf: Permission denied"}}
		}
	}
	sysctl := func(name string, n uint32) func(*checker, *run.Log) {
		return func(c *checker, _ *run.Log) { c.kernel.(*model).set(name, n) }
	}
	const noNAT = "pf: pf has no NAT rule of pots, which the next start of a pot loads: pots have no way out: " +
		"printf '%s\\n' 'nat on vtnet0 inet from 10.192.0.0/10 to any -> (vtnet0:0)' | pfctl -a pot-nat -f -"
	for name, tc := range map[string]struct {
		change func(*checker, *run.Log)
		want   []string
	}{
		"a host that lacks nothing": {func(*checker, *run.Log) {}, nil},

		"the uplink is not there": {func(c *checker, _ *run.Log) { c.config.Interface = "em0" }, []string{
			"uplink: POT_EXTIF em0 is not there: set POT_EXTIF in pot.conf to an interface of this host: vtnet0",
			strings.ReplaceAll(noNAT, "vtnet0", "em0")}},
		"the uplink is down": {shown("vtnet0: flags=1008843<UP,", "vtnet0: flags=1008842<"), []string{
			"uplink: POT_EXTIF vtnet0 is down: ifconfig vtnet0 up"}},
		"a further uplink is not there": {func(c *checker, _ *run.Log) { c.config.Extra = []potconf.Uplink{{Interface: "em1"}} }, []string{
			"uplink: POT_EXTRA_EXTIF em1 is not there: set POT_EXTRA_EXTIF in pot.conf to an interface of this host: vtnet0"}},
		"no uplink is configured": {func(c *checker, _ *run.Log) { c.config.Interface = "" }, []string{
			"pf: no uplink is known: pots have no way out: set POT_EXTIF in pot.conf"}},
		"interfaces cannot be listed": {fails("ifconfig -a"), []string{
			"uplink: interfaces cannot be listed: pfctl: exit status 1: pfctl: /dev/pf: Permission denied"}},

		"forwarding is off": {sysctl(forwarding, 0), []string{
			"forwarding: net.inet.ip.forwarding is 0: the packets of pots reach no other network: sysctl net.inet.ip.forwarding=1; sysrc gateway_enable=YES"}},

		"the bridge has another netmask": {shown("netmask 0xffc00000", "netmask 0xffffff00"), []string{
			"bridge: bridge0 has the pots' gateway as 10.192.0.1/24, not as 10.192.0.1/10: ifconfig bridge0 inet 10.192.0.1/10 alias"}},
		"the bridge has another netmask, as a length": {shown("10.192.0.1 netmask 0xffc00000", "10.192.0.1/16"), []string{
			"bridge: bridge0 has the pots' gateway as 10.192.0.1/16, not as 10.192.0.1/10: ifconfig bridge0 inet 10.192.0.1/10 alias"}},
		"the bridge is not in the group": {shown("groups: bridge pot", "groups: bridge"), []string{
			"bridge: bridge0 has the pots' gateway and is not in the interface group pot: ifconfig bridge0 group pot"}},
		"the bridge is down": {shown("bridge0: flags=1008843<UP,", "bridge0: flags=1008842<"), []string{
			"bridge: bridge0 has the pots' gateway and is down: ifconfig bridge0 up"}},
		"the gateway is on no bridge": {shown("inet 10.0.2.15 ", "inet 10.192.0.1 "), []string{
			"bridge: vtnet0 has the pots' gateway 10.192.0.1 and is no bridge: ifconfig vtnet0 inet 10.192.0.1 -alias"}},
		"no pot has created the bridge yet": {func(c *checker, log *run.Log) {
			shown("inet 10.192.0.1 ", "inet 10.0.0.1 ")(c, log)
			answers("pfctl -a pot-nat -s nat", "")(c, log)
		}, nil},

		"pf is not loaded": {func(*checker, *run.Log) { pfDevice = "/nosuch/pf" }, []string{
			"pf: pf is not loaded: pots have no way out: sysrc pf_enable=YES; service pf start"}},
		"pf is disabled": {answers("pfctl -s info", "Status: Disabled for 0 days 00:00:07          Debug: Urgent\n\n"), []string{
			"pf: pf is disabled: pots have no way out, and ports are published by supervisors alone: pfctl -e; sysrc pf_enable=YES"}},
		"pf never ran": {answers("pfctl -s info", "Status: Disabled                              Debug: Urgent\n\n"), []string{
			"pf: pf is disabled: pots have no way out, and ports are published by supervisors alone: pfctl -e; sysrc pf_enable=YES"}},
		"pf does not answer": {fails("pfctl -s info"), []string{
			"pf: pf cannot be asked whether it runs: pfctl: exit status 1: pfctl: /dev/pf: Permission denied"}},
		"pf does not show its anchors": {fails("pfctl -s nat"), []string{
			"pf: pf cannot be asked for its anchors: pfctl: exit status 1: pfctl: /dev/pf: Permission denied"}},
		"pf does not show the rules of an anchor": {fails("pfctl -a pot-nat -s nat"), []string{
			"pf: pf cannot be asked for the rules of pot-nat: pfctl: exit status 1: pfctl: /dev/pf: Permission denied"}},
		"pf's file has no anchors": {answers("pfctl -s nat", "nat on em1 inet from any to any -> 192.0.2.1\n"), []string{
			`pf: /etc/pf.conf lacks the line nat-anchor "pot-nat": pots have no way out, or ports only by supervisors: pot init`,
			`pf: /etc/pf.conf lacks the line rdr-anchor "pot-rdr/*": pots have no way out, or ports only by supervisors: pot init`}},
		"one anchor is missing": {answers("pfctl -s nat", "nat-anchor \"pot-nat\" all\n"), []string{
			`pf: /etc/pf.conf lacks the line rdr-anchor "pot-rdr/*": pots have no way out, or ports only by supervisors: pot init`}},
		"pf's file is not loaded": {func(c *checker, log *run.Log) {
			answers("pfctl -s nat", "")(c, log)
			must.NoError(t, os.MkdirAll(c.root+"/etc", 0o755))
			must.NoError(t, os.WriteFile(c.root+"/etc/rc.conf", []byte("pf_rules=\"/etc/my.conf\"\n"), 0o644))
			must.NoError(t, os.WriteFile(c.root+"/etc/my.conf", []byte("nat-anchor \"pot-nat\"\nrdr-anchor \"pot-rdr/*\"\n"), 0o644))
		}, []string{
			`pf: pf has not loaded the line nat-anchor "pot-nat" of its file: pots have no way out, or ports only by supervisors: pfctl -f /etc/my.conf`,
			`pf: pf has not loaded the line rdr-anchor "pot-rdr/*" of its file: pots have no way out, or ports only by supervisors: pfctl -f /etc/my.conf`}},
		"the NAT rule was flushed":            {answers("pfctl -a pot-nat -s nat", ""), []string{noNAT}},
		"the NAT rule is for another uplink":  {answers("pfctl -a pot-nat -s nat", "nat on em1 inet from 10.192.0.0/10 to any -> (em1:0)\n"), []string{noNAT}},
		"the NAT rule is for another network": {answers("pfctl -a pot-nat -s nat", "nat on vtnet0 inet from 10.1.0.0/16 to any -> (vtnet0:0)\n"), []string{noNAT}},

		"the kernel lets no address into a bridge": {sysctl(memberAddresses, 0), []string{
			"ipv6: pots cannot have IPv6: net.link.bridge.member_ifaddrs is 0, so vtnet0, which has an address, cannot join a bridge: " +
				"sysctl net.link.bridge.member_ifaddrs=1; echo net.link.bridge.member_ifaddrs=1 >> /etc/sysctl.conf; " +
				"or move the address to a bridge that has vtnet0 as a member and set POT_EXTIF to that bridge"}},
		"the kernel lets addresses into bridges": {sysctl(memberAddresses, 1), nil},
		"the uplink is a bridge": {func(c *checker, log *run.Log) {
			sysctl(memberAddresses, 0)(c, log)
			c.config.Interface = "bridge0"
			answers("pfctl -a pot-nat -s nat", "nat on bridge0 inet from 10.192.0.0/10 to any -> (bridge0:0)\n")(c, log)
		}, nil},
		"the uplink is in a bridge": {func(c *checker, log *run.Log) {
			sysctl(memberAddresses, 0)(c, log)
			shown("member: epair0a ", "member: vtnet0 ")(c, log)
		}, nil},
		"the uplink has no address": {func(c *checker, log *run.Log) {
			sysctl(memberAddresses, 0)(c, log)
			shown("inet 10.0.2.15 ", "was 10.0.2.15 ")(c, log)
			shown("inet6 fe80::5054:ff:fe12:3456%vtnet0 ", "was6 ")(c, log)
		}, nil},
		"resource accounting is off": {sysctl("kern.racct.enable", 0), []string{
			"limits: memory and CPU limits, and usage, are off: echo kern.racct.enable=1 >> /boot/loader.conf; shutdown -r now"}},
		"two things at once": {func(c *checker, log *run.Log) {
			sysctl(forwarding, 0)(c, log)
			answers("pfctl -a pot-nat -s nat", "")(c, log)
		}, []string{
			"forwarding: net.inet.ip.forwarding is 0: the packets of pots reach no other network: sysctl net.inet.ip.forwarding=1; sysrc gateway_enable=YES", noNAT}},
	} {
		t.Run(name, func(t *testing.T) {
			c, log := healthy(t)
			tc.change(&c, log)
			must.Eq(t, tc.want, lacking(t, c))
		})
	}
}

// The facts of a host that lacks nothing are the attributes that constraints use.
func TestCheck_network_facts(t *testing.T) {
	leak.Check(t)
	has.Have(t, "root", os.Geteuid() == 0)
	c, log := healthy(t)
	found := c.check(t.Context())
	for key, text := range map[string]string{"pf": "anchors", "uplink": "vtnet0"} {
		must.SliceContains(t, found, pot.CheckResult{Severity: pot.Info, Key: key, Text: text})
	}
	must.SliceNotContains(t, strings.Split(log.String(), "\n"), "sysctl "+forwarding+"=1") // a look changes nothing
	must.False(t, slices.ContainsFunc(strings.Split(log.String(), "\n"), func(l string) bool { return strings.Contains(l, " -f ") }))
}
