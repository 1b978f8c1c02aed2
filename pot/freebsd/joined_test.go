package freebsd

import (
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// joinedTo returns a pot that joins the network of another.
func joinedTo(of, name pot.Name) pot.Spec {
	return pot.Spec{
		Name: name, Image: "web_1_0", Network: pot.Joined, Of: of,
		Labels: map[string]string{"nomad.pot:task": string(name)},
		Limits: pot.Limits{MemoryBytes: 64 << 20, CPUs: "1"},
	}
}

// commandWith returns the one command that begins with words.
func commandWith(t *testing.T, m *model, words string) string {
	t.Helper()
	var all []string
	for _, c := range m.commands {
		if strings.HasPrefix(c, words) {
			all = append(all, c)
		}
	}
	must.SliceLen(t, 1, all, must.Sprint(strings.Join(m.commands, "\n")))
	return all[0]
}

// A joined pot's jail is a child of the other's, with its network and with limits of its
// own, and ends with it.
func TestLife_joined(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	before := m.state()
	h, pots := m.host(t)
	owner, err := pots.Create(t.Context(), web(t))
	must.NoError(t, err)
	m.commands = nil
	side, err := pots.Create(t.Context(), joinedTo("web", "side"))
	must.NoError(t, err)
	must.Eq(t, owner.Address(), side.Address())
	create := commandWith(t, m, "jail ")
	must.StrHasPrefix(t, "jail -c name=web.side path=", create)
	must.StrContains(t, create, " ip4=inherit ip6=inherit allow.socket_af=true allow.raw_sockets=true")
	must.StrNotContains(t, create, "vnet")
	must.Eq(t, "rctl -a jail:web.side:memoryuse:log=67108864 jail:web.side:memoryuse:sigkill=67108864", commandWith(t, m, "rctl -a"))
	must.Eq(t, "cpuset -l 1 -j 2", commandWith(t, m, "cpuset"))
	for _, c := range m.commands {
		must.False(t, strings.HasPrefix(c, "ifconfig") || strings.HasPrefix(c, "route") || strings.HasPrefix(c, "pfctl"), must.Sprint(c))
	}

	t.Run("it is found by its full name alone", func(t *testing.T) {
		found, err := h.Jails.Find(t.Context(), "web.side")
		must.NoError(t, err)
		must.Eq(t, 2, found.ID)
		_, err = h.Jails.Find(t.Context(), "side")
		must.ErrorIs(t, err, fs.ErrNotExist)
		left, err := h.Leftovers(t.Context(), nil)
		must.NoError(t, err)
		slices.Sort(left)
		must.Eq(t, []pot.Name{"side", "web"}, slices.Compact(left))
	})
	t.Run("what it uses is not counted for the other too", func(t *testing.T) {
		u, err := side.Usage(t.Context())
		must.NoError(t, err)
		must.Eq(t, 2, u.Procs)
		u, err = owner.Usage(t.Context())
		must.NoError(t, err)
		must.Eq(t, 0, u.Procs) // the model's kernel says 2 of each
	})
	t.Run("a kill for memory is its own", func(t *testing.T) {
		m.messages = "rctl: rule \"jail:web.side:memoryuse:log=67108864\" matched"
		kills, err := side.OutOfMemory(t.Context())
		must.NoError(t, err)
		must.True(t, kills)
		kills, err = owner.OutOfMemory(t.Context())
		must.NoError(t, err)
		must.False(t, kills)
	})
	t.Run("it can have no attribute that the other lacks", func(t *testing.T) {
		for attribute, value := range map[string]string{"mlock": "YES", "enforce_statfs": "1", "children": "1"} {
			s := joinedTo("web", "more")
			s.Attributes = conf.Attributes{attribute: value}
			_, err := pots.Create(t.Context(), s)
			must.ErrorContains(t, err, "a pot that joins the network of web can have no attribute that gives it more than web has")
		}
	})
	t.Run("the other may end while it is made", func(t *testing.T) {
		m.mounting = func(MountPoint) { m.jails["web"].dying = 9 }
		s := joinedTo("web", "late")
		s.Mounts = []pot.Mount{{Source: t.TempDir(), Target: "/x"}}
		_, err := pots.Create(t.Context(), s)
		must.ErrorIs(t, err, life.ErrCannotJoin)
		m.mounting, m.jails["web"].dying = nil, 0
	})
	t.Run("it is gone with the other, and leaves nothing", func(t *testing.T) {
		must.NoError(t, owner.Destroy(t.Context()))
		_, err := h.Jails.Find(t.Context(), "web.side")
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.NoError(t, side.Destroy(t.Context()))
		must.Eq(t, before, m.state())
	})
}

// Without its record, a joined pot is destroyed by its bare name.
func TestLife_joinedWithoutRecord(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	h, pots := m.host(t)
	_, err := pots.Create(t.Context(), web(t))
	must.NoError(t, err)
	before := m.state()
	_, err = pots.Create(t.Context(), joinedTo("web", "side"))
	must.NoError(t, err)
	p := pots.Damaged("side", fs.ErrInvalid, false)
	_, err = p.Usage(t.Context()) // the other pot knows of it
	must.NoError(t, err)
	must.NoError(t, p.Destroy(t.Context()))
	must.Eq(t, before, m.state())

	// Nor need the host be told of the other pot.
	p, err = pots.Create(t.Context(), joinedTo("web", "side"))
	must.NoError(t, err)
	must.NoError(t, h.Jails.Remove(t.Context(), "side"))
	_, err = h.Jails.Find(t.Context(), "web.side")
	must.ErrorIs(t, err, fs.ErrNotExist)
	must.NoError(t, h.Limits.Clear(t.Context(), "side"))
	must.MapNotContainsKey(t, m.rules, "jail:web.side")
	must.NoError(t, p.Destroy(t.Context()))
	must.Eq(t, before, m.state())
}

// A shared network is a jail without files. It is made by the first pot, is allowed what
// its pots are, and ends with the last.
func TestLife_shared(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	before := m.state()
	h, pots := m.host(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	port := netip.MustParseAddrPort(l.Addr().String())
	must.NoError(t, l.Close())
	shared := pot.Spec{
		Name: "net", Image: "web_1_0", Bare: true, Network: pot.PublicBridge,
		Ports: []pot.Port{{Proto: conf.TCP, Host: netip.AddrPortFrom(netip.IPv4Unspecified(), port.Port()), To: 80}},
	}
	defer pots.Destroy(t.Context(), "net") // also if the test fails: its supervisor is a process
	create := func(name pot.Name, a conf.Attributes) *life.Pot {
		s := joinedTo("net", name)
		s.Attributes = a
		p, err := pots.CreateIn(t.Context(), s, shared)
		must.NoError(t, err)
		return p
	}
	a := create("a", nil)
	jail := commandWith(t, m, "jail -c name=net ")
	must.StrContains(t, jail, " enforce_statfs=0 children.max=999998 sysvshm=new sysvsem=new sysvmsg=new vnet vnet.interface=")
	must.StrContains(t, commandWith(t, m, "ifconfig -j net epair"), " inet "+a.Address().String()+"/10 up")
	must.MapContainsKey(t, m.anchors, "pot-rdr/net")
	for _, p := range m.mounts {
		must.False(t, strings.Contains(p.On, "/net/"), must.Sprint(p))
	}
	m.commands = nil
	b := create("b", conf.Attributes{"mlock": "YES", "children": "999997", "sysvshm": "inherit"})
	must.Eq(t, "jail -m name=net allow.mlock=true", commandWith(t, m, "jail -m"))
	must.Eq(t, a.Address(), b.Address())
	must.NoError(t, a.Destroy(t.Context()))
	_, err = h.Jails.Find(t.Context(), "net.b")
	must.NoError(t, err)
	must.NoError(t, b.Destroy(t.Context()))
	must.Eq(t, before, m.state())
}
