package freebsd

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

// command returns the command with that beginning.
func (m *model) command(t testing.TB, begin string) string {
	t.Helper()
	i := slices.IndexFunc(m.commands, func(c string) bool { return strings.HasPrefix(c, begin) })
	must.GreaterEq(t, 0, i, must.Sprintf("no %q in\n%s", begin, strings.Join(m.commands, "\n")))
	return m.commands[i]
}

// connections are one pot for each way to connect it.
func connections(t testing.TB) map[string]pot.Spec {
	port := []pot.Port{{Proto: conf.TCP, Host: netip.MustParseAddrPort("0.0.0.0:8080"), To: 80}}
	addr := func(text string) pot.InterfaceAddr {
		a, err := pot.ParseInterfaceAddr(text)
		must.NoError(t, err)
		return a
	}
	all := map[string]pot.Spec{
		"public":  {Network: pot.PublicBridge, Ports: port},
		"dual":    {Network: pot.PublicBridge, Stack: pot.Dual, Ports: port},
		"six":     {Network: pot.PublicBridge, Stack: pot.IPv6},
		"private": {Network: pot.PrivateBridge, Bridge: "db", Ports: port},
		"host":    {Network: pot.HostNetwork},
		"host4":   {Network: pot.HostNetwork, Stack: pot.IPv4},
		"host6":   {Network: pot.HostNetwork, Stack: pot.IPv6},
		"none":    {Network: pot.NoNetwork},
		"alias": {Network: pot.Alias, Aliases: []pot.InterfaceAddr{
			addr("192.0.2.7"), addr("em1|192.0.2.8"), addr("em1|2001:db8::7"),
		}},
	}
	for name, s := range all {
		s.Name, s.Image = pot.Name(name), "web_1_0"
		all[name] = s
	}
	return all
}

// netModel is a model with two uplinks; em1 has an address that a pot asks for.
func netModel(t testing.TB) *model {
	m := newModel(t)
	m.ifaces["vtnet0"] = &modelIface{inet: "10.0.2.15/24"}
	m.ifaces["em1"] = &modelIface{aliases: []string{"192.0.2.8/24"}}
	return m
}

// A pot's jail is connected as requested, and disconnected completely.
func TestNetworks(t *testing.T) {
	leak.Check(t)
	for name, want := range map[string][]string{
		"public":  {"vnet vnet.interface=epair28577b allow.socket_af=true allow.raw_sockets=true"},
		"dual":    {"vnet vnet.interface=epair19663b vnet.interface=epair20167b allow.socket_af=true allow.raw_sockets=true"},
		"six":     {"vnet vnet.interface=epair19418b allow.socket_af=true allow.raw_sockets=true"},
		"private": {"vnet vnet.interface=epair29021b"},
		"host":    {" ip4=inherit ip6=inherit"},
		"host4":   {" ip4=inherit"},
		"host6":   {" ip6=inherit"},
		"none":    {"vnet allow.socket_af=true allow.raw_sockets=true"},
		"alias":   {"ip4.addr=192.0.2.7,192.0.2.8 ip6.addr=2001:db8::7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := netModel(t)
			before := m.state()
			_, pots := m.host(t)
			p, err := pots.Create(t.Context(), connections(t)[name])
			must.NoError(t, err)
			for _, text := range want {
				must.StrContains(t, m.command(t, "jail -c"), text)
			}
			must.NoError(t, p.Destroy(t.Context()))
			must.Eq(t, before, m.state())
			must.NoError(t, p.Destroy(t.Context()))
		})
	}
}

// Each command of a start fails once, whatever the network, and nothing is left.
func TestNetworks_faults(t *testing.T) {
	leak.Check(t)
	for name := range connections(t) {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				m := netModel(t)
				before := m.state()
				_, pots := m.host(t)
				m.failAt = n
				p, err := pots.Create(t.Context(), connections(t)[name])
				if len(m.commands) < n {
					must.NoError(t, err)
					m.failAt = 0
					must.NoError(t, p.Destroy(t.Context()))
					must.Eq(t, before, m.state())
					return
				}
				must.ErrorContains(t, err, "injected", must.Sprint(m.commands[n-1]))
				must.Eq(t, before, m.state(), must.Sprintf("after %s failed", m.commands[n-1]))
			}
		})
	}
}

func TestNetworks_details(t *testing.T) {
	leak.Check(t)
	create := func(t *testing.T, m *model, name string) *life.Pots {
		_, pots := m.host(t)
		_, err := pots.Create(t.Context(), connections(t)[name])
		must.NoError(t, err)
		return pots
	}
	t.Run("IPv6 is on a bridge with the uplink", func(t *testing.T) {
		m := netModel(t)
		create(t, m, "six")
		must.Eq(t, "ifconfig bridge17327 create addm vtnet0 group pot description nomad-driver-pot IPv6 bridge up", m.command(t, "ifconfig bridge"))
		must.Eq(t, "ifconfig epair19418 create group pot description six IPv6 up", m.command(t, "ifconfig epair"))
		must.Eq(t, "ifconfig -j six epair19418b inet6 accept_rtadv auto_linklocal -ifdisabled up", m.command(t, "ifconfig -j six epair"))
	})
	t.Run("an operator's bridge with the uplink is taken, and stays", func(t *testing.T) {
		m := netModel(t)
		m.ifaces["bridge7"] = &modelIface{groups: []string{"bridge"}, members: []string{"vtnet0"}}
		pots := create(t, m, "six")
		must.Eq(t, "ifconfig bridge7 addm epair19418a", m.command(t, "ifconfig bridge7"))
		must.NoError(t, pots.Destroy(t.Context(), "six"))
		must.MapContainsKey(t, m.ifaces, "bridge7")
	})
	t.Run("routers are asked for by the jail's own rtsol, if it has one", func(t *testing.T) {
		m := netModel(t)
		m.more = []string{"sbin/rtsol"}
		create(t, m, "six")
		must.Eq(t, "jexec six /sbin/rtsol epair19418b", m.command(t, "jexec"))
	})
	t.Run("ifconfig and route without -j are the jail's own", func(t *testing.T) {
		m := netModel(t)
		m.noJ = true
		create(t, m, "public")
		must.Eq(t, "jexec public ifconfig lo0 inet 127.0.0.1/8 up", m.command(t, "jexec public ifconfig lo0"))
		must.Eq(t, "jexec public route -q add default 10.192.0.1", m.command(t, "jexec public route"))
	})
	t.Run("a private network has a bridge and addresses of its own", func(t *testing.T) {
		m := netModel(t)
		create(t, m, "private")
		must.Eq(t, "ifconfig bridge30510 create inet 10.192.8.1/29 group pot description nomad-driver-pot private bridge db up", m.command(t, "ifconfig bridge"))
		must.Eq(t, "ifconfig -j private epair29021b inet 10.192.8.2/29 up", m.command(t, "ifconfig -j private epair"))
		must.Eq(t, "route -j private -q add default 10.192.8.1", m.command(t, "route"))
		must.Eq(t, "rdr pass on vtnet0 inet proto tcp from any to (vtnet0) port 8080 -> 10.192.8.2 port 80\n", m.anchors["pot-rdr/private"])
	})
	t.Run("a missing private bridge is an error", func(t *testing.T) {
		_, pots := netModel(t).host(t)
		s := connections(t)["private"]
		s.Bridge = "nosuch"
		_, err := pots.Create(t.Context(), s)
		must.ErrorIs(t, err, fs.ErrNotExist)
		must.ErrorContains(t, err, "address: no such bridge: nosuch")
	})
	t.Run("an address that the host has already is used, and stays", func(t *testing.T) {
		m := netModel(t)
		pots := create(t, m, "alias")
		must.Eq(t, []string{"192.0.2.8/24", "2001:db8::7/128"}, m.ifaces["em1"].aliases)
		must.Eq(t, []string{"192.0.2.7/32"}, m.ifaces["vtnet0"].aliases)
		must.NoError(t, pots.Destroy(t.Context(), "alias"))
		must.Eq(t, []string{"192.0.2.8/24"}, m.ifaces["em1"].aliases)
	})
	t.Run("an address that somebody removed meanwhile is ignored", func(t *testing.T) {
		m := netModel(t)
		pots := create(t, m, "alias")
		m.ifaces["vtnet0"].aliases = nil
		must.NoError(t, pots.Destroy(t.Context(), "alias"))
	})
	t.Run("an address of another interface is an error", func(t *testing.T) {
		_, pots := netModel(t).host(t)
		s := connections(t)["alias"]
		s.Aliases = []pot.InterfaceAddr{{Addr: netip.MustParseAddr("192.0.2.8")}}
		_, err := pots.Create(t.Context(), s)
		must.ErrorContains(t, err, "link: 192.0.2.8 is an address of em1, not of vtnet0")
	})
	t.Run("an address that another pot has is refused", func(t *testing.T) {
		m := netModel(t)
		pots := create(t, m, "alias")
		s := connections(t)["alias"]
		s.Name = "second"
		_, err := pots.Create(t.Context(), s)
		must.ErrorContains(t, err, `address: address 192.0.2.7: pot "alias" has it`)
	})
	t.Run("members that are isolated", func(t *testing.T) {
		m := netModel(t)
		m.configure = func(c *Config) { c.Isolate = true }
		create(t, m, "public")
		must.Eq(t, "ifconfig bridge31368 addm epair28577a private epair28577a", m.command(t, "ifconfig bridge31368 addm"))
	})
	t.Run("the operator's own rules take the place of ours", func(t *testing.T) {
		m := netModel(t)
		m.configure = func(c *Config) { c.PFRulesHook = "/root/rules" }
		create(t, m, "public")
		must.Eq(t, "# vtnet0 bridge31368 10.192.0.0/10 10.192.0.1 tcp 8080 10.192.0.2 80\n", m.anchors["pot-rdr/public"])
	})
	t.Run("further uplinks are for their networks", func(t *testing.T) {
		m := netModel(t)
		m.configure = func(c *Config) {
			c.InterfaceAddr = netip.MustParseAddr("192.0.2.1")
			c.Extra = []potconf.Uplink{{Interface: "em1", Network: netip.MustParsePrefix("192.168.0.0/16")}, {Interface: "em2"}}
		}
		create(t, m, "public")
		must.Eq(t, "nat on em1 inet from 10.192.0.0/10 to 192.168.0.0/16 -> (em1:0)\n"+
			"nat on vtnet0 inet from 10.192.0.0/10 to any -> 192.0.2.1\n", m.anchors["pot-nat"])
		must.Eq(t, "rdr pass on vtnet0 inet proto tcp from any to 192.0.2.1 port 8080 -> 10.192.0.2 port 80\n"+
			"rdr pass on em1 inet proto tcp from any to (em1) port 8080 -> 10.192.0.2 port 80\n"+
			"rdr pass on em2 inet proto tcp from any to (em2) port 8080 -> 10.192.0.2 port 80\n", m.anchors["pot-rdr/public"])
	})
}

// Attributes and limits become parameters of a jail and rules of rctl(8).
func TestAttributes(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	before := m.state()
	image := m.place("tank/pot/jails/web_1_0/conf/pot.conf")
	must.NoError(t, os.WriteFile(image, []byte("pot.cmd=/bin/hello\nosrelease=\"13.2-RELEASE\"\n"+
		"pot.attr.children=3\npot.attr.mlock=YES\npot.attr.zfs=NO\n"), 0o644))
	m.bare = true // no freebsd-version in the tree
	_, pots := m.host(t)
	p, err := pots.Create(t.Context(), pot.Spec{
		Name: "web", Image: "web_1_0", Network: pot.HostNetwork, DiskBytes: 1 << 20,
		Attributes: conf.Attributes{
			"raw_sockets": "YES", "sysvshm": "inherit", "devfs_ruleset": "5", "enforce_statfs": "1", "mount": "YES",
			"linprocfs": "YES", "linsysfs": "YES", "nullfs": "YES", "tmpfs": "YES", "zfs": "YES",
			"fdescfs": "YES", "procfs": "YES", "no-tmpfs": "NO",
		},
		Limits: pot.Limits{Processes: 50, OpenFiles: 1000, ReadBPS: 1 << 20, WriteBPS: 2 << 20, ReadIOPS: 100, WriteIOPS: 200},
	})
	must.NoError(t, err)
	must.Eq(t, []string{"mlock"}, p.Refused())
	root := m.place("tank/pot/jails/web/m")
	must.Eq(t, "zfs create -o quota=1048576 tank/pot/jails/web", m.command(t, "zfs create"))
	must.Eq(t, "rctl -a jail:web:maxproc:deny=50 jail:web:openfiles:deny=1000 jail:web:readbps:throttle=1048576 "+
		"jail:web:writebps:throttle=2097152 jail:web:readiops:throttle=100 jail:web:writeiops:throttle=200", m.command(t, "rctl"))
	must.Eq(t, "jail -c name=web path="+root+" persist host.hostname=web exec.clean allow.set_hostname=false allow.chflags=true "+
		"osrelease=13.2-RELEASE enforce_statfs=1 devfs_ruleset=5 sysvshm=inherit sysvsem=new sysvmsg=new children.max=3 "+
		"allow.mount=true allow.mount.linprocfs=true allow.mount.linsysfs=true allow.mount.nullfs=true allow.mount.tmpfs=true "+
		"allow.mount.zfs=true ip4=inherit ip6=inherit allow.raw_sockets=true", m.command(t, "jail -c"))
	var mounted []string
	for _, c := range m.commands {
		if strings.HasPrefix(c, "nmount ") {
			mounted = append(mounted, strings.ReplaceAll(c, root, ""))
		}
	}
	must.Eq(t, []string{"nmount tmpfs /tmp mode=1777", "nmount devfs /dev ruleset=5",
		"nmount fdescfs /dev/fd", "nmount procfs /proc"}, mounted)
	must.NoError(t, p.Destroy(t.Context()))
	must.Eq(t, before, m.state())

	t.Run("mounts of a jail that fails are unmounted", func(t *testing.T) {
		m := newModel(t)
		h, _ := m.host(t)
		dir, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "web_1_0", Name: "x"})
		must.NoError(t, err)
		before := m.state()
		must.NoError(t, os.Symlink("/", dir+"/m/proc"))
		err = h.Jails.Create(t.Context(), pot.Jail{Name: "x", Root: dir + "/m", Network: pot.HostNetwork,
			Attributes: conf.Attributes{"procfs": "YES", "fdescfs": "YES"}})
		must.ErrorContains(t, err, "/proc: /proc: is a link: mounts follow none")
		must.NoError(t, os.Remove(dir+"/m/proc"))
		must.NoError(t, os.RemoveAll(dir+"/m/dev/fd"))
		must.Eq(t, before, m.state(), must.Sprint(fmt.Sprint(m.commands)))
	})
}
