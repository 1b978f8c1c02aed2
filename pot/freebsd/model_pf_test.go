package freebsd

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

// modelState is a state of pf: the ends that a packet has on the wire, its sender
// first, and those that it has on the host, after rdr and before nat.
type modelState struct {
	proto       conf.Proto
	wire, stack [2]netip.AddrPort
}

// pfctlRefuses is what pfctl(8) says of anchors that it does not take.
func (m *model) pfctlRefuses(argv []string) string {
	at := slices.Index(argv, "-a")
	loads, flushes := slices.Contains(argv, "-f"), slices.Contains(argv, "-F")
	if at < 0 || !loads && !flushes {
		return ""
	}
	anchor := argv[at+1]
	if strings.HasPrefix(anchor, "_") || strings.Contains(anchor, "/_") { // sbin/pfctl/pfctl.c, main
		return "pfctl: anchor names beginning with '_' cannot be modified from the command line"
	}
	if loads && len(anchor) >= 64 { // PF_ANCHOR_NAME_SIZE; pfctl.c, pfctl_rules
		return "pfctl: pfctl_rules: strlcpy"
	}
	for part := range strings.SplitSeq(anchor, "/") {
		if len(part) >= 64 { // sys/netpfil/pf/pf_ruleset.c, pf_find_or_create_kruleset
			return "pfctl: pfctl_clear_nat: Invalid argument"
		}
	}
	return ""
}

// listAnchors is -s Anchors: those in parent, in full (pfctl.c, pfctl_show_anchors). An
// anchor without rules is not there (pf_ruleset.c, pf_remove_if_empty_kruleset).
func (m *model) listAnchors(parent string) (out, complaint string) {
	for _, anchor := range slices.Sorted(maps.Keys(m.anchors)) {
		if strings.HasPrefix(anchor, parent+"/") {
			out += "  " + anchor + "\n"
		}
	}
	return out, ""
}

// killWire is -k FROM -k TO. It compares what packets have on the wire
// (sys/netpfil/pf/pf_ioctl.c, pf_killstates_row).
func (m *model) killWire(argv []string) {
	var ends []netip.Prefix
	for i, word := range argv[:max(0, len(argv)-1)] {
		if word == "-k" {
			prefix, err := netip.ParsePrefix(argv[i+1])
			if err != nil {
				prefix = netip.PrefixFrom(netip.MustParseAddr(argv[i+1]), 32)
			}
			ends = append(ends, prefix)
		}
	}
	if len(ends) == 2 {
		m.states = slices.DeleteFunc(m.states, func(s modelState) bool {
			return ends[0].Contains(s.wire[0].Addr()) && ends[1].Contains(s.wire[1].Addr())
		})
	}
}

// send is a packet from outside: where it arrives, by a state, or by the first rdr rule,
// which makes one. It is not valid where no rule is for it.
func (m *model) send(proto conf.Proto, from, to string) netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	wire := [2]netip.AddrPort{netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)}
	for _, s := range m.states {
		if s.proto == proto && s.wire == wire {
			return s.stack[1]
		}
	}
	for _, anchor := range slices.Sorted(maps.Keys(m.anchors)) {
		for line := range strings.Lines(m.anchors[anchor]) {
			var uplink, of, target, inside string
			var port, insidePort uint16
			n, _ := fmt.Sscanf(line, "rdr pass on %s inet proto %s from any to %s port %d -> %s port %d", &uplink, &of, &target, &port, &inside, &insidePort)
			if n == 6 && of == string(proto) && port == wire[1].Port() && (target == "("+uplink+")" || target == wire[1].Addr().String()) {
				s := modelState{proto, wire, [2]netip.AddrPort{wire[0], netip.AddrPortFrom(netip.MustParseAddr(inside), insidePort)}}
				m.states = append(m.states, s)
				return s.stack[1]
			}
		}
	}
	return netip.AddrPort{}
}

// KillStates implements Kernel.
func (m *model) KillStates(addr netip.Addr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.called("killstates", addr.String()) {
		return errInjected
	}
	m.states = slices.DeleteFunc(m.states, func(s modelState) bool {
		return s.stack[0].Addr() == addr || s.stack[1].Addr() == addr
	})
	return nil
}

// Jails implements Kernel.
func (m *model) Jails() (all []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, j := range m.jails {
		if j.dying == 0 {
			all = append(all, name)
		}
	}
	return all, nil
}

// The model refuses what pfctl(8) refuses, and ends no more than it ends.
func TestModel_pf(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	rule := "rdr pass on vtnet0 inet proto udp from any to (vtnet0) port 53 -> 10.192.0.9 port 5353\n"
	for _, tc := range []struct{ command, complaint string }{
		{"-a pot-rdr/web -f -", ""},
		{"-a pot-rdr/" + strings.Repeat("x", 55) + " -f -", ""},
		{"-a pot-rdr/" + strings.Repeat("x", 56) + " -f -", "pfctl: pfctl_rules: strlcpy"},
		{"-a pot-rdr/" + strings.Repeat("x", 63) + " -F nat", ""},
		{"-a pot-rdr/" + strings.Repeat("x", 64) + " -F nat", "pfctl: pfctl_clear_nat: Invalid argument"},
		{"-a pot-rdr/_web -f -", "pfctl: anchor names beginning with '_' cannot be modified from the command line"},
		{"-a pot-rdr/_web -F nat", "pfctl: anchor names beginning with '_' cannot be modified from the command line"},
		{"-a pot-rdr/web_ -F nat", ""},
		{"-s nat", ""},
	} {
		_, complaint := m.pfctl(strings.NewReader(rule), strings.Fields(tc.command))
		must.Eq(t, tc.complaint, complaint, must.Sprint(tc.command))
	}
	out, _ := m.pfctl(nil, strings.Fields("-q -a pot-rdr -s Anchors"))
	must.Eq(t, "  pot-rdr/web\n  pot-rdr/"+strings.Repeat("x", 55)+"\n", out)

	inside := netip.MustParseAddrPort("10.192.0.9:5353")
	for _, tc := range []struct {
		command string
		ends    bool
	}{
		{"-k 0.0.0.0/0 -k 10.192.0.9", false}, // behind the translation
		{"-k 10.192.0.9 -k 0.0.0.0/0", false},
		{"-k 0.0.0.0/0 -k 10.0.2.15", true}, // on the wire
	} {
		must.Eq(t, inside, m.send(conf.UDP, "203.0.113.5:40000", "10.0.2.15:53"))
		m.pfctl(nil, strings.Fields(tc.command))
		must.Eq(t, tc.ends, len(m.states) == 0, must.Sprint(tc.command))
	}
	must.Eq(t, inside, m.send(conf.UDP, "203.0.113.5:40000", "10.0.2.15:53"))
	m.anchors = map[string]string{}
	must.Eq(t, inside, m.send(conf.UDP, "203.0.113.5:40000", "10.0.2.15:53"), must.Sprint("states outlive their rules"))
	must.NoError(t, m.KillStates(inside.Addr()))
	must.False(t, m.send(conf.UDP, "203.0.113.5:40000", "10.0.2.15:53").IsValid())
}

func (m *model) pfctl(stdin io.Reader, argv []string) (string, string) {
	if missing := noDevice(argv); missing != "" {
		return "", missing
	}
	if complaint := m.pfctlRefuses(argv); complaint != "" {
		return "", complaint
	}
	m.killWire(argv)
	at := slices.Index(argv, "-a")
	switch {
	case slices.Contains(argv, "Anchors"):
		return m.listAnchors(argv[at+1])
	case argv[0] == "-n":
		return "", pfctlCheck(string(must1(io.ReadAll(stdin))), m.dir, argv...)
	case slices.Contains(argv, "-f"):
		text, err := io.ReadAll(stdin)
		must0(err)
		if at >= 0 {
			m.anchors[argv[at+1]] = string(text)
		}
	case slices.Contains(argv, "-F"):
		delete(m.anchors, argv[at+1])
	case slices.Contains(argv, "-s"):
		return m.showPF(argv), ""
	}
	return "", ""
}
