package freebsd

import (
	"net"
	"net/netip"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
)

// A pot that gives a port up has no redirect for it: two pots' for one port would stand
// beside each other, and the first would count.
func TestPot_Unpublish(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	before := m.state()
	_, pots := m.host(t)
	s := web(t)
	first := s.Ports[0]
	second := pot.Port{Proto: conf.TCP, Host: netip.MustParseAddrPort("192.0.2.7:8081"), To: 81}
	s.Ports = []pot.Port{first, second}
	p, err := pots.Create(t.Context(), s)
	must.NoError(t, err)
	rule := func(from, to string) string {
		return "rdr pass on vtnet0 inet proto tcp from any to 192.0.2.7 port " + from + " -> 10.192.0.2 port " + to + "\n"
	}
	must.Eq(t, rule("8080", "80")+rule("8081", "81"), m.anchors["pot-rdr/web"])
	must.NoError(t, p.Unpublish(t.Context(), []pot.Port{first}))
	must.Eq(t, rule("8081", "81"), m.anchors["pot-rdr/web"])
	again, err := pots.Find("web")
	must.NoError(t, err)
	must.Eq(t, []pot.Port{second}, again.Ports())
	must.NoError(t, again.Unpublish(t.Context(), []pot.Port{second}))
	must.Eq(t, "", m.anchors["pot-rdr/web"])
	must.NoError(t, again.Destroy(t.Context()))
	must.Eq(t, before, m.state())
}

// What another program is sent for UDP is not redirected to a pot that nobody has said
// wants it.
func TestPot_portHeldForUDP(t *testing.T) {
	leak.Check(t)
	held, err := net.ListenPacket("udp", "127.0.0.1:0")
	must.NoError(t, err)
	defer held.Close()
	at := netip.MustParseAddrPort(held.LocalAddr().String())
	_, pots := newModel(t).host(t)
	for _, any := range []bool{true, false} {
		s := web(t)
		s.AnyTransport = any
		s.Ports = []pot.Port{{Proto: conf.TCP, Host: at, To: 53}, {Proto: conf.UDP, Host: at, To: 53}}
		p, err := pots.Create(t.Context(), s)
		must.NoError(t, err)
		if any {
			must.Eq(t, s.Ports[:1], p.Ports())
			must.Eq(t, []string{"Port " + at.String() + " is published over TCP only: another program uses it for UDP"}, p.Notes())
		} else {
			must.Eq(t, s.Ports, p.Ports()) // the supervisor refuses
		}
		must.NoError(t, p.Destroy(t.Context()))
	}
}
