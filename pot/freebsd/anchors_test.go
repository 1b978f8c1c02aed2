package freebsd

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// behind is the part of a pot's name after the task's name.
const behind = "_0badcafe_6f3e6b3c-8f0e-4a35-9c2c-0123456789ab"

func TestAnchorOf(t *testing.T) {
	leak.Check(t)
	for _, tc := range []struct{ name, anchor, old string }{
		{"web", "web", ""},
		{"web_", "web_", ""},
		{"web" + behind, "web" + behind, ""},
		{"_web" + behind, "fb31c738" + behind, ""}, // pfctl(8) never took the old one
		{"_web", "64dd9201_web", ""},
		{"__", "9911f4d2__", ""},
		{"8letters" + behind, "8letters" + behind, ""},
		{"9-letters" + behind, "6b4fef1c" + behind, "9-letters" + behind},
		{"frontend-web" + behind, "1495122b" + behind, "ntend-web" + behind},
		{"seventeen-letters" + behind, "a2bc0b53" + behind, "n-letters" + behind},
		{"front___web-1234" + behind, "7bd9d13e" + behind, "web-1234" + behind},
		{"_" + strings.Repeat("x", 54), "7817b936" + strings.Repeat("x", 46), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must.Eq(t, rdrAnchor+"/"+tc.anchor, anchorOf(pot.Name(tc.name)))
			if tc.old != "" {
				tc.old = rdrAnchor + "/" + tc.old
			}
			must.Eq(t, tc.old, oldAnchorOf(pot.Name(tc.name)))
		})
	}
}

// Whatever a pot is called, pfctl(8) takes its anchors; no other pot has its anchor, and
// an anchor that is nobody's is found by its own name.
func FuzzAnchorOf(f *testing.F) {
	f.Add("web", "_web")
	f.Add("frontend-web"+behind, "backend-web"+behind)
	f.Add(strings.Repeat("_", 128), strings.Repeat("_", 127))
	m := new(model)
	f.Fuzz(func(t *testing.T, one, two string) {
		if pot.Name(one).Validate() != nil || pot.Name(two).Validate() != nil {
			return
		}
		for _, path := range anchorsOf(pot.Name(one)) {
			for _, argv := range [][]string{{"-a", path, "-f", "-"}, {"-a", path, "-F", "nat"}} {
				must.Eq(t, "", m.pfctlRefuses(argv), must.Sprint(argv))
			}
		}
		path := anchorOf(pot.Name(one))
		must.Eq(t, one == two, path == anchorOf(pot.Name(two)))
		must.NotEq(t, path, oldAnchorOf(pot.Name(one)))
		name := strings.TrimPrefix(path, rdrAnchor+"/")
		must.Eq(t, path, anchorOf(pot.Name(name)))
		must.Eq(t, []pot.Name{pot.Name(one)}, ownersOf([]string{name}, []pot.Name{pot.Name(one)}))
		must.Eq(t, []pot.Name{pot.Name(name)}, ownersOf([]string{name}, nil))
	})
}

// published is a pot of that name with a published port.
func published(name pot.Name) pot.Spec {
	return pot.Spec{Name: name, Image: "web_1_0", Network: pot.PublicBridge,
		Ports: []pot.Port{{Proto: conf.UDP, Host: netip.MustParseAddrPort("0.0.0.0:53"), To: 5353}}}
}

// oddNames are names that a pot may have, and a task, and that some tool could take for
// something else.
var oddNames = []pot.Name{
	"_", "_web", "__", "_-", "web-", "0x10", "0web", "1e5", "00a", "10_192_0_1", "all", "any", "none", "pot", "lo0", "epair20000a",
	"bridge20000", "inherit", "new", "jail", "name", "description", "group", "up", "A", "a--b", "pot-rdr", "nomad-driver-pot",
	"frontend-web" + behind, "seventeen-letters" + behind, "_frontend-web-1-2" + behind, "_web" + behind,
	pot.Name(strings.Repeat("_", 128)), pot.Name(strings.Repeat("x", 128)), pot.Name("_" + strings.Repeat("9", 127)),
	pot.Name(strings.Repeat("9", 127) + "a"), pot.Name(strings.Repeat("x", 54)), pot.Name(strings.Repeat("x", 55)), pot.Name(strings.Repeat("x", 56)),
}

// A pot of any name publishes its ports, and is destroyed, also where its record is lost,
// and no other pot of an odd name loses its own.
func TestAnchors_names(t *testing.T) {
	leak.Check(t)
	m := netModel(t)
	before := m.state()
	h, pots := m.host(t)
	for _, name := range oddNames {
		s := published(name)
		s.Labels = map[string]string{conf.LabelTask: "x"}
		_, err := pots.Create(t.Context(), s)
		must.NoError(t, err, must.Sprint(name))
	}
	must.MapLen(t, len(oddNames)+1, m.anchors) // and nat's
	leftovers, err := h.Leftovers(t.Context(), oddNames)
	must.NoError(t, err)
	must.SliceContainsAll(t, slices.Compact(slices.Sorted(slices.Values(leftovers))), slices.Sorted(slices.Values(oddNames))) // by their datasets
	for i, name := range oddNames {
		p, err := pots.Find(name)
		must.NoError(t, err)
		if i%2 == 0 {
			p = pots.Damaged(name, nil, false)
		}
		must.NoError(t, p.Destroy(t.Context()), must.Sprint(name))
		must.MapLen(t, len(oddNames)-i, m.anchors, must.Sprint(name))
	}
	must.Eq(t, before, m.state())
}

// The redirects of a pot whose jail is there are no leftover, whatever its anchor is
// called, and nothing is done by a name that was cut.
func TestMarked_anchors(t *testing.T) {
	leak.Check(t)
	long, other := pot.Name("frontend-web"+behind), pot.Name("backend-of-web"+strings.Replace(behind, "0bad", "1bad", 1))
	rules := "rdr pass on vtnet0 inet proto udp from any to (vtnet0) port 53 -> 10.192.0.2 port 5353\n"
	for _, tc := range []struct {
		name    string
		anchors []string
		jails   []pot.Name
		known   []pot.Name
		want    []pot.Name
	}{
		{"of a pot that runs", []string{anchorOf(long)}, []pot.Name{long}, nil, nil},
		{"of a pot that runs, from an older version", []string{oldAnchorOf(long)}, []pot.Name{long}, nil, nil},
		{"of a pot whose jail is being made", []string{anchorOf(long)}, nil, []pot.Name{long}, []pot.Name{long}},
		{"of a pot with a record, from an older version", []string{oldAnchorOf(long)}, nil, []pot.Name{long}, []pot.Name{long}},
		{"of nobody, cut", []string{oldAnchorOf(long)}, nil, nil, nil},
		{"of nobody, cut, beside another pot's", []string{oldAnchorOf(long), anchorOf(other)}, []pot.Name{other}, nil, nil},
		{"of nobody", []string{"pot-rdr/web" + behind}, nil, nil, []pot.Name{"web" + behind}},
		{"of nobody, once a long or odd name's", []string{anchorOf(long), anchorOf("_web")}, nil, nil, []pot.Name{"1495122b" + behind, "64dd9201_web"}},
		{"of two pots alike, one of which runs", []string{oldAnchorOf(long)}, []pot.Name{long}, []pot.Name{"x" + long}, []pot.Name{"x" + long}},
		{"of no pot at all", []string{"pot-rdr/_web", "pot-rdr/a.b", "pot-rdr/7"}, nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := netModel(t)
			h, pots := m.host(t)
			for _, path := range tc.anchors {
				m.anchors[path] = rules
			}
			for _, name := range tc.jails {
				m.jails[string(name)] = &modelJail{id: 1}
			}
			got, err := h.Leftovers(t.Context(), tc.known)
			must.NoError(t, err)
			must.Eq(t, tc.want, slices.Sorted(slices.Values(got)))
			for _, name := range got {
				must.NoError(t, pots.Destroy(t.Context(), name))
			}
			left, err := h.Leftovers(t.Context(), nil)
			must.NoError(t, err)
			must.SliceEmpty(t, left)
			for _, name := range tc.jails {
				for _, path := range anchorsOf(name) {
					must.Eq(t, slices.Contains(tc.anchors, path), m.anchors[path] != "", must.Sprint("the redirects of a pot that runs"))
				}
			}
		})
	}
}

// A pot that an older version started has its rules where that put them, and nothing in
// its record says so.
func TestWithdraw_older(t *testing.T) {
	leak.Check(t)
	for _, name := range []pot.Name{"web", "_web", "frontend-web" + behind, "front___web-1234" + behind, pot.Name(strings.Repeat("x", 55))} {
		t.Run(string(name), func(t *testing.T) {
			m := netModel(t)
			h, _ := m.host(t)
			was := oldAnchorOf(name)
			if was == "" {
				was = anchorOf(name)
			}
			m.anchors[was] = "x"
			r := pot.Redirect{Pot: name, To: netip.MustParseAddr("10.192.0.2"), Ports: published(name).Ports}
			must.NoError(t, h.Redirects.Withdraw(t.Context(), r))
			must.MapEmpty(t, m.anchors)
			must.NoError(t, h.Redirects.Withdraw(t.Context(), r))
		})
	}
	t.Run("a pot with a known anchor is withdrawn from that anchor alone", func(t *testing.T) {
		m := netModel(t)
		_, pots := m.host(t)
		p, err := pots.Create(t.Context(), published("frontend-web"+behind))
		must.NoError(t, err)
		m.commands = nil
		must.NoError(t, p.Destroy(t.Context()))
		must.Eq(t, []string{"pfctl -q -a pot-rdr/1495122b" + behind + " -F nat", "killstates 10.192.0.2"}, lanesOf(m.commands)["pf"])
	})
	t.Run("nothing is looked for where nothing was published", func(t *testing.T) {
		m := netModel(t)
		_, pots := m.host(t)
		s := published("web")
		s.Ports = nil
		p, err := pots.Create(t.Context(), s)
		must.NoError(t, err)
		m.commands = nil
		must.NoError(t, p.Destroy(t.Context()))
		must.Eq(t, []string{"killstates 10.192.0.2"}, lanesOf(m.commands)["pf"])
	})
	t.Run("an error of pfctl does not keep the states", func(t *testing.T) {
		m := netModel(t)
		_, pots := m.host(t)
		p, err := pots.Create(t.Context(), published("web"))
		must.NoError(t, err)
		m.send(conf.UDP, "203.0.113.5:40000", "10.0.2.15:53")
		m.hangs = "pfctl"
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		must.ErrorIs(t, p.Destroy(ctx), context.Canceled)
		must.SliceEmpty(t, m.states)
		m.hangs = ""
		must.NoError(t, p.Destroy(t.Context()))
	})
}

// A client that goes on sending does not reach the next pot with the address, nor does
// a server that the pot has spoken to.
func TestWithdraw_states(t *testing.T) {
	leak.Check(t)
	m := netModel(t)
	_, pots := m.host(t)
	p, err := pots.Create(t.Context(), published("first"))
	must.NoError(t, err)
	_, err = pots.Create(t.Context(), pot.Spec{Name: "other", Image: "web_1_0", Network: pot.PublicBridge,
		Ports: []pot.Port{{Proto: conf.UDP, Host: netip.MustParseAddrPort("0.0.0.0:54"), To: 5454}}})
	must.NoError(t, err)
	const client, server = "203.0.113.5:40000", "198.51.100.9:443"
	must.Eq(t, "10.192.0.2:5353", m.send(conf.UDP, client, "10.0.2.15:53").String())
	must.Eq(t, "10.192.0.3:5454", m.send(conf.UDP, client, "10.0.2.15:54").String())
	ends := func(a, b string) [2]netip.AddrPort {
		return [2]netip.AddrPort{netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)}
	}
	m.states = append(m.states, // of nat, and the host's own
		modelState{conf.TCP, ends("10.0.2.15:61000", server), ends(p.Address().String()+":2000", server)},
		modelState{conf.TCP, ends(client, "10.0.2.15:22"), ends(client, "10.0.2.15:22")})

	must.NoError(t, p.Destroy(t.Context()))
	must.False(t, m.send(conf.UDP, client, "10.0.2.15:53").IsValid())
	must.Eq(t, "10.192.0.3:5454", m.send(conf.UDP, client, "10.0.2.15:54").String(), must.Sprint("another pot's goes on"))
	must.Len(t, 2, m.states)
	must.Eq(t, "10.0.2.15:22", m.states[1].stack[1].String())
}
